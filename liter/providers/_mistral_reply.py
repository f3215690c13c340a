"""What Mistral's replies say beyond OpenAI's form: content in blocks, and references.

Text and thoughts are read with OpenAI's form already; here the blocks are looked at once more, where they say more.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from msgspec.structs import force_setattr, replace

from ..types import (
    Annotation,
    ChatCompletionResponse,
    DocumentCitation,
    NativeContent,
    UrlCitation,
)
from ._openai_reply import read_reply

Block = dict[str, object]


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message, or what a chunk adds to it."""

    content: str | list[Block] | None = None


class Choice(msgspec.Struct, frozen=True, gc=False):
    """A choice of a reply, or of a chunk."""

    index: int = 0
    message: Message | None = None
    delta: Message | None = None


class Body(msgspec.Struct, frozen=True, gc=False):
    """What is looked at once more in a reply or a chunk."""

    choices: list[Choice] = []


_BODY = msgspec.json.Decoder(Body)
NOTHING = Body()


def look_again(data: bytes) -> Body:
    """Read what OpenAI's form leaves out, where there is some."""
    if b'"thinking"' not in data and b'reference"' not in data:
        return NOTHING
    try:
        return _BODY.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOTHING


def read_chat(body: bytes, *, provider: str, model: str) -> ChatCompletionResponse:
    """Decode a whole reply.

    :raises SerializationError: it cannot be read
    :raises LlmError: it is an error under a status of success
    """
    reply = read_reply(body, provider=provider, model=model)
    told = look_again(body)
    # The reply is not handed out yet, so it may still change.
    if reply.usage is not None and reply.service_tier is None:
        force_setattr(reply, "service_tier", reply.usage.service_tier)
    if len(told.choices) == len(reply.choices):
        for ours, theirs in zip(reply.choices, told.choices, strict=True):
            content = None if theirs.message is None else theirs.message.content
            if isinstance(content, list):
                state = Blocks()
                annotations = [note for block in content for note in state.add(block)]
                message = replace(
                    ours.message,
                    annotations=[*(ours.message.annotations or ()), *annotations] or None,
                    native_content=state.native(provider),
                )
                force_setattr(ours, "message", message)
    return reply


class Blocks:
    """The blocks of one message, as they come whole or in pieces."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._fragments: list[list[str]] = []
        self._length = 0
        self._cited = 0
        self._plain = True

    def text(self, text: str) -> None:
        """Add text."""
        if not text:
            return
        self._length += len(text)
        if self._blocks and self._blocks[-1]["type"] == "text":
            self._fragments[-1].append(text)
        else:
            self._append({"type": "text"}, text)

    def add(self, block: Mapping[str, object]) -> list[Annotation]:
        """Add a block, or a piece of one; the annotations that it makes."""
        kind = block.get("type")
        if kind == "text" and isinstance(block.get("text"), str):
            others = {name: value for name, value in block.items() if name != "text"}
            self._plain = self._plain and others.keys() == {"type"}
            self._length += len(cast("str", block["text"]))
            self._append(others, cast("str", block["text"]))
            return []
        if kind == "thinking":
            others = {name: value for name, value in block.items() if name != "thinking"}
            self._append(others, "".join(_texts(block.get("thinking"))))
            # Signed, or cut: it has to go back as it is.
            if others.get("signature") is not None or others.get("closed") is False:
                self._plain = False
            return []
        self._plain = False
        self._blocks.append(dict(block))
        self._fragments.append([])
        return self._annotations(kind, block)

    def _append(self, block: Block, text: str) -> None:
        kind = block["type"]
        if self._blocks and self._blocks[-1].get("type") == kind:
            self._blocks[-1].update(block)
            self._fragments[-1].append(text)
            return
        if kind == "thinking" and self._blocks:
            self._plain = False
        self._blocks.append(block)
        self._fragments.append([text])

    def _annotations(self, kind: object, block: Mapping[str, object]) -> list[Annotation]:
        start, end = self._cited, self._length
        if kind == "reference":
            # A reference follows the text that it supports.
            self._cited = self._length
            ids = block.get("reference_ids")
            return [
                Annotation(
                    type="document_citation",
                    document_citation=DocumentCitation(id=str(number), source="tool", start_index=start, end_index=end),
                )
                for number in (cast("list[object]", ids) if isinstance(ids, list) else ())
            ]
        url, title = block.get("url"), block.get("title")
        if kind == "tool_reference" and isinstance(url, str):
            self._cited = self._length
            page = UrlCitation(
                url=url, title=title if isinstance(title, str) else None, start_index=start, end_index=end
            )
            return [Annotation(url_citation=page)]
        return []

    def native(self, provider: str) -> NativeContent | None:
        """All blocks, where OpenAI's form would lose one, or their order."""
        if self._plain:
            return None
        blocks: list[Block] = []
        for block, fragments in zip(self._blocks, self._fragments, strict=True):
            text, kind = "".join(fragments), block.get("type")
            if kind == "text":
                blocks.append({**block, "text": text})
            elif kind == "thinking":
                blocks.append({**block, "thinking": [{"type": "text", "text": text}]})
            else:
                blocks.append(block)
        return NativeContent(provider=provider, blocks=blocks)


def _texts(thinking: object) -> Sequence[str]:
    if isinstance(thinking, str):
        return (thinking,)
    pieces = cast("list[object]", thinking) if isinstance(thinking, list) else []
    texts = [cast("Mapping[str, object]", piece).get("text") for piece in pieces if isinstance(piece, Mapping)]
    return [text for text in texts if isinstance(text, str)]
