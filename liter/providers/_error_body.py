"""Reads the message and the codes of a failure out of its body, of which there are a dozen shapes."""

import re
from collections.abc import Iterator, Mapping
from typing import cast

import msgspec

# Messages are for people; some bodies are whole pages.
_LONGEST_MESSAGE = 1000

# Some tell a sentence where the name of a parameter should be.
_PARAMETER = re.compile(r"[\w.\[\]-]{1,100}")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a failure's body tells.

    :param codes: its machine-readable codes and types, in lower case, the most particular first
    :param param: the parameter it complains of
    :param body: the body as plain data, ``None`` where it is not JSON
    """

    message: str = ""
    code: str | None = None
    codes: tuple[str, ...] = ()
    param: str | None = None
    request_id: str | None = None
    body: object = None


def read_facts(body: bytes) -> Facts:
    """Read what a failure's body tells, whatever its shape. Never raises."""
    try:
        tree: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Facts(message=_plain(body))
    if isinstance(tree, list):
        tree = next(iter(cast("list[object]", tree)), None)
    if isinstance(tree, str):
        return Facts(message=tree[:_LONGEST_MESSAGE])
    if not isinstance(tree, dict):
        return Facts()
    outer = cast("Mapping[str, object]", tree)
    layers = list(_layers(outer))
    codes = [str(value) for layer in layers for value in _codes(layer)]
    return Facts(
        message=next((text for layer in layers if (text := _message(layer))), "")[:_LONGEST_MESSAGE],
        # A bare number only repeats the status.
        code=next((code for code in codes if not code.isdigit()), None),
        codes=tuple(code.lower() for code in codes),
        param=next((param for layer in layers if _PARAMETER.fullmatch(param := _text(layer.get("param")))), None),
        request_id=_text(outer.get("request_id")) or None,
        body=outer,
    )


def _layers(outer: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """The mappings in a body that may tell something, the innermost error first."""
    for name in ("error", "detail", "message", "base_resp"):
        inner = outer.get(name)
        if isinstance(inner, Mapping):
            layer = cast("Mapping[str, object]", inner)
            for deeper in ("innererror", "error"):
                if isinstance(layer.get(deeper), Mapping):
                    yield {**layer, **cast("Mapping[str, object]", layer[deeper])}
            yield from _listed(layer)
            yield layer
    yield from _listed(outer)
    yield outer


def _listed(layer: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    for name in ("errors", "detail"):
        items = layer.get(name)
        for item in cast("list[object]", items) if isinstance(items, list) else ():
            if isinstance(item, Mapping):
                yield cast("Mapping[str, object]", item)


def _codes(layer: Mapping[str, object]) -> Iterator[object]:
    metadata = layer.get("metadata")
    if isinstance(metadata, Mapping):
        inner = cast("Mapping[str, object]", metadata)
        if inner.get("reasons"):
            yield "content_policy_violation"  # OpenRouter: what a moderation model found
        if isinstance(inner.get("error_type"), str):
            yield inner["error_type"]
    for name in ("code", "error_code", "err_code", "status", "status_code", "type", "category"):
        value = layer.get(name)
        if (isinstance(value, str) and value and value != "error") or (isinstance(value, int) and value):
            yield value


def _message(layer: Mapping[str, object]) -> str:
    metadata = layer.get("metadata")
    raw = cast("Mapping[str, object]", metadata).get("raw") if isinstance(metadata, Mapping) else None
    if isinstance(raw, str) and raw:
        # A gateway (OpenRouter) hands on what the provider behind it said.
        return f"{_text(layer.get('message'))}: {read_facts(raw.encode('utf-8', 'replace')).message}"
    for name in ("message", "Message", "msg", "err_msg", "status_msg", "status_message", "error", "detail"):
        text = _text(layer.get(name))
        if text:
            place = layer.get("loc")
            return f"{'.'.join(map(str, cast('list[object]', place)))}: {text}" if isinstance(place, list) else text
    return ""


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _plain(body: bytes) -> str:
    """The gist of a body that is no JSON: a page's title, or the text's start."""
    text = body[: 4 * _LONGEST_MESSAGE].decode("utf-8", "replace")
    title = re.search(r"<title[^>]*>([^<]{1,300})", text, re.IGNORECASE)
    if title:
        return " ".join(title.group(1).split())
    return "" if "<html" in text.lower() else " ".join(text.split())[:_LONGEST_MESSAGE]
