"""Reads what imitators of an API send: nulls, numbers as text, content as a list of parts.

A body of the right form pays nothing for this: it is decoded in one step. Only when that fails is the body read
as plain JSON, mended, and converted.
"""

import logging
import re
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

import msgspec

T = TypeVar("T")

_LOGGER = logging.getLogger("liter")

# What a caller pays for. A reply in which this cannot be read is refused; other odd fields are left out
# (the bytes stay in the reply's ``raw``).
_NEEDED = frozenset(
    {
        "choices", "message", "delta", "content", "tool_calls", "function", "name", "arguments", "data", "id",
        "embedding", "embeddings",
    }
)  # fmt: skip

_COUNTS = frozenset({"prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens"})

# Parts that stand beside the text, and that Mistral's codec reads.
_BESIDE_TEXT = frozenset({"reference", "tool_reference", "tool_file", "document_url", "file", "input_audio"})

# An odd body has one odd thing, rarely two.
_MOST_REPAIRS = 16

# The name of a field in a mapping is not told, but ``[...]``: then the mapping as a whole is left out.
_PLACE = re.compile(r" - at `\$(.*?)(?:\[\.\.\.\].*)?`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_MISSING = re.compile(r"missing required field `([^`]*)`")

JsonObject = dict[str, object]


def decode_leniently(decoder: "msgspec.json.Decoder[T]", body: bytes, *, blocks: bool = False) -> T:
    """Decode a body into the decoder's type, mending it where its form is off.

    :param blocks: content is a list of blocks, as it should be; otherwise it is text
    :raises msgspec.DecodeError: not JSON, or JSON of a form that cannot be mended
    """
    try:
        try:
            return decoder.decode(body)
        except msgspec.ValidationError:
            return _converted(msgspec.json.decode(body), decoder.type, blocks)
    except (UnicodeDecodeError, RecursionError) as error:
        # What msgspec raises for names of fields that are not UTF-8, and for lists in lists in lists.
        raise msgspec.DecodeError(f"the body is no JSON: {error}") from error


def convert_leniently(tree: object, kind: type[T]) -> T:
    """Convert a JSON tree, which may be changed, leaving out what is of an odd form.

    :raises msgspec.ValidationError: it cannot be mended
    """
    return _converted(tree, kind, blocks=True)


def _converted(tree: object, kind: type[T], blocks: bool) -> T:
    _mend(tree, _OF_BLOCKS if blocks else _MENDERS)
    for _ in range(_MOST_REPAIRS):
        try:
            return msgspec.convert(tree, kind, strict=False)
        except msgspec.ValidationError as error:
            if not _leave_out(tree, str(error)):
                raise
    return msgspec.convert(tree, kind, strict=False)


def _leave_out(tree: object, told: str) -> bool:
    """Take the field that an error tells of out of the tree, or fill in a text that is missing."""
    place = _PLACE.search(told)
    steps = [match.group(1) or int(match.group(2)) for match in _STEP.finditer(place.group(1))] if place else []
    missing = _MISSING.search(told)
    if steps and steps[-1] in _COUNTS:
        # A usage without its counts is unknown, and not one of zero tokens.
        steps = steps[:-1]
    if missing is None and len(steps) > 1 and isinstance(steps[-1], int) and steps[-2] not in _NEEDED:
        return _leave_out_item(tree, steps)
    if missing is None and (not steps or steps[-1] in _NEEDED or isinstance(steps[-1], int)):
        return False
    node = tree
    for step in steps if missing else steps[:-1]:
        node = cast("dict[object, object]", node)[step]
    if missing:
        cast("JsonObject", node)[missing.group(1)] = ""
    else:
        cast("JsonObject", node).pop(cast("str", steps[-1]), None)
    return True


def _leave_out_item(tree: object, steps: list[str | int]) -> bool:
    """Take an item of a wrong kind out of its list, and all others of that kind."""
    node = tree
    for step in steps[:-1]:
        node = cast("dict[object, object]", node)[step]
    items = cast("list[object]", node)
    kind = type(items[cast("int", steps[-1])])
    items[:] = [item for item in items if type(item) is not kind]
    return True


def _mend(node: object, menders: Mapping[str, Callable[[JsonObject], None]]) -> None:
    """Mend, all through the tree, what is known to be odd somewhere."""
    if isinstance(node, list):
        for item in cast("list[object]", node):
            _mend(item, menders)
    elif isinstance(node, dict):
        fields = cast("JsonObject", node)
        for name in [name for name, value in fields.items() if value is None]:
            del fields[name]
        for name, mend in menders.items():
            if name in fields:
                mend(fields)
        for value in fields.values():
            _mend(value, menders)


def _mend_content(fields: JsonObject) -> None:
    """Parts in place of text (Mistral, Databricks): text is joined, thinking is reasoning, images are images."""
    parts = fields["content"]
    if "type" in fields:
        return
    if isinstance(parts, dict) and "text" in parts:
        parts = [cast("object", parts)]
    if not isinstance(parts, list):
        return
    text: list[str] = []
    reasoning: list[str] = []
    images: list[object] = []
    unknown: list[object] = []
    for part in cast("list[object]", parts):
        if isinstance(part, str):
            text.append(part)
        elif isinstance(part, Mapping):
            said = cast("Mapping[str, object]", part)
            if said.get("type") in ("thinking", "reasoning"):
                reasoning += _texts(said.get("thinking") or said.get("summary"))
            elif isinstance(said.get("text"), str):
                text.append(cast("str", said["text"]))
            elif said.get("type") == "image_url":
                images.append(cast("JsonObject", part))
            elif said.get("type") == "refusal":
                fields["refusal"] = f"{fields.get('refusal') or ''}{said.get('refusal') or ''}"
            elif not isinstance(said.get("type"), str):
                return
            elif said["type"] not in _BESIDE_TEXT:
                unknown.append(said["type"])
    if unknown:
        if not (text or reasoning or images):
            return
        # What is beside them is paid for. What they are, stands in ``raw``.
        _LOGGER.warning("parts of types %r are not known, and left out of the content", unknown)
    if text or not reasoning:
        fields["content"] = "".join(text)
    else:
        del fields["content"]
    if reasoning and not fields.get("reasoning_content"):
        fields["reasoning_content"] = "".join(reasoning)
    if images:
        fields["images"] = [*cast("list[object]", fields.get("images") or ()), *images]


def _texts(parts: object) -> list[str]:
    if isinstance(parts, str):
        return [parts]
    items = cast("list[object]", parts) if isinstance(parts, list) else []
    texts = [cast("Mapping[str, object]", item).get("text") for item in items if isinstance(item, Mapping)]
    return [text for text in texts if isinstance(text, str)]


def _mend_arguments(fields: JsonObject) -> None:
    if not isinstance(fields["arguments"], str):
        fields["arguments"] = msgspec.json.encode(fields["arguments"]).decode()


def _mend_citations(fields: JsonObject) -> None:
    """Sources are told by their addresses alone, or with a title."""
    told = fields["citations"]
    if isinstance(told, list) and "choices" in fields:
        fields["citations"] = [
            cast("Mapping[str, object]", one).get("url") if isinstance(one, Mapping) else one
            for one in cast("list[object]", told)
        ]


def _mend_created(fields: JsonObject) -> None:
    try:
        fields["created"] = int(float(cast("str", fields["created"])))
    except (TypeError, ValueError, OverflowError):
        del fields["created"]


_MENDERS: Mapping[str, Callable[[JsonObject], None]] = {
    "citations": _mend_citations,
    "content": _mend_content,
    "arguments": _mend_arguments,
    "created": _mend_created,
}
_OF_BLOCKS = {name: mend for name, mend in _MENDERS.items() if name != "content"}
