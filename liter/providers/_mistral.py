"""Mistral's API: OpenAI's wire, but for its chats."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec.structs import force_setattr

from .._contract import Call
from .._http import Headers, HttpRequest, ServerSentEvent
from ..types import ChatCompletionChunk, ChatCompletionRequest, ChatCompletionResponse
from ._batch import BatchForm
from ._mistral_batches import BATCHES
from ._mistral_batches import FORM as BATCH_FORM
from ._mistral_operations import OPERATIONS
from ._mistral_reply import NOTHING, Block, Blocks, Body, look_again, read_chat
from ._mistral_request import PARAMETERS, encode_chat
from ._openai import OpenAI
from ._openai_operations import post
from ._openai_stream import ChatStreamDecoder as OpenAIStreamDecoder
from ._parameters import Rule
from ._wire import OperationWire

# What it has in OpenAI's form.
_SHARED = ("list_models", "transcribe", "create_file", "retrieve_file", "delete_file", "list_files", "file_content")


class Mistral(OpenAI, frozen=True, kw_only=True):
    """A provider that speaks Mistral's API."""

    name: str = "mistral"
    base_url: str = "https://api.mistral.ai/v1"
    key_variables: tuple[str, ...] = ("MISTRAL_API_KEY",)

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        theirs = super().wires
        return {"chat": _CHAT, **{name: theirs[name] for name in _SHARED}, **OPERATIONS, **BATCHES}

    @property
    def batch_form(self) -> BatchForm | None:
        """Files of lines, each for the one model of the batch."""
        return BATCH_FORM

    def parameters(self, operation: str) -> Mapping[str, Rule]:
        """What becomes of each parameter, as the protocol's own tables say."""
        wire = self.wires.get(operation)
        return {} if wire is None else wire.parameters


class ChatStreamDecoder(OpenAIStreamDecoder):
    """Decodes the events of one streamed chat, content blocks among them."""

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(provider, model)
        self._blocks: dict[int, Blocks] = {}

    def feed(self, event: ServerSentEvent) -> Sequence[ChatCompletionChunk]:
        """Decode one event: none or one of ours."""
        chunks = super().feed(event)
        for chunk in chunks:
            # The chunk is not handed out yet, so it may still change.
            if chunk.usage is not None and chunk.service_tier is None:
                force_setattr(chunk, "service_tier", chunk.usage.service_tier)
            told = look_again(event.data)
            for choice in chunk.choices:
                state = self._blocks.get(choice.index)
                if state is None:
                    state = self._blocks[choice.index] = Blocks()
                delta, content = choice.delta, _content(told, choice.index)
                if content is None:
                    state.text(delta.content or "")
                elif notes := [note for block in content for note in state.add(block)]:
                    force_setattr(delta, "annotations", [*(delta.annotations or ()), *notes])
                if choice.finish_reason is not None:
                    force_setattr(delta, "native_content", state.native(self._provider))
        return chunks

    def _read(self, body: bytes) -> ChatCompletionResponse:
        return read_chat(body, provider=self._provider, model=self._model)


def _content(told: Body, index: int) -> list[Block] | None:
    """The blocks that a chunk adds to a choice, if it adds any."""
    if told is NOTHING:
        return None
    for choice in told.choices:
        if choice.index == index and choice.delta is not None and isinstance(choice.delta.content, list):
            return choice.delta.content
    return None


def _encode_chat(provider: Mistral, call: Call[object]) -> HttpRequest:
    body = encode_chat(cast("ChatCompletionRequest", call.request), call)
    return post(provider, call, "/chat/completions", body)


def _decode_chat(provider: Mistral, call: Call[object], body: bytes, headers: Headers) -> ChatCompletionResponse:
    return read_chat(body, provider=provider.name, model=call.route.model)


def _open_chat_stream(provider: Mistral, call: Call[object]) -> ChatStreamDecoder:
    return ChatStreamDecoder(provider.name, call.route.model)


_CHAT: OperationWire[Mistral, ChatCompletionResponse] = OperationWire(
    encode=_encode_chat, decode=_decode_chat, open_stream=_open_chat_stream, parameters=PARAMETERS
)
