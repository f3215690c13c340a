"""Bodies of requests that are sent as forms."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import msgspec

from .._form import Form, Progress
from ..types import File
from ._json_body import json_text


def form_body(
    request: msgspec.Struct,
    *,
    lists: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    **changes: object,
) -> Form:
    """Make a form of a request: fields at their defaults are left out, ``extra_body`` is merged last.

    :param lists: fields that are sent once for each item, and under which name: ``{"include": "include[]"}``
    :param changes: fields with another value: ``model="..."``
    """
    fields: dict[str, object] = {}
    for field in msgspec.structs.fields(type(request)):
        value: object = changes.get(field.name, getattr(request, field.name))
        if value is not None and field.name not in ("extra_body", "progress"):
            fields[field.name] = value
    fields.update((name, value) for name, value in changes.items() if value is not None)
    extra = cast("Mapping[str, object] | None", getattr(request, "extra_body", None))
    fields.update(extra or {})
    return Form(_entries(fields, lists or {}), progress=progress)


def _entries(fields: Mapping[str, object], lists: Mapping[str, str]) -> Iterator[tuple[str, str | File]]:
    for name, value in fields.items():
        if isinstance(value, File):
            yield name, value
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            for item in cast("Sequence[object]", value):
                yield lists.get(name, f"{name}[]"), item if isinstance(item, File) else json_text(item)
        else:
            yield name, json_text(value)
