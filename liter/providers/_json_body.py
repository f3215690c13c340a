"""JSON bodies, of a request's own fields or of others, and JSON in forms and queries."""

from collections.abc import Mapping
from typing import cast

import msgspec
from msgspec.structs import replace

_ENCODER = msgspec.json.Encoder()
_ANY = msgspec.json.Decoder(dict[str, object])


def body_of(fields: Mapping[str, object], extra: Mapping[str, object] | None) -> bytes:
    """Encode fields as a JSON object: those that are ``None`` are left out, ``extra_body`` is merged last."""
    told = {name: value for name, value in fields.items() if value is not None}
    return _ENCODER.encode({**told, **(extra or {})})


def json_text(value: object) -> str:
    """A value as forms and queries have it: a text as it is, numbers and truth as in JSON."""
    return value if isinstance(value, str) else _ENCODER.encode(value).decode()


def json_body(request: msgspec.Struct, *, renames: Mapping[str, str] | None = None, **changes: object) -> bytes:
    """Encode a request as JSON: fields at their defaults are left out, ``extra_body`` is merged last.

    :param renames: fields that the wire has under another name
    :param changes: fields with another value: ``model="..."``
    """
    extra = cast("Mapping[str, object] | None", getattr(request, "extra_body", None))
    if extra is not None:
        changes["extra_body"] = None
    body = _ENCODER.encode(replace(request, **changes))
    renamed = [name for name in renames or () if getattr(request, name, None) is not None]
    if not extra and not renamed:
        return body
    fields = _ANY.decode(body)
    for name in renamed:
        fields[cast("Mapping[str, str]", renames)[name]] = fields.pop(name)
    return _ENCODER.encode({**fields, **(extra or {})})
