"""GitHub Copilot's API: OpenAI's wire, but that one reply may come as several choices, and that thoughts have a name.

Its keys are tokens of half an hour, see ``liter.credentials.CopilotCredentials``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec.structs import force_setattr, replace

from .._contract import Call
from .._http import Headers, ServerSentEvent
from ..types import (
    AssistantMessage,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    Choice,
)
from ._auth import Auth
from ._openai import OpenAI
from ._openai_reply import read_reply
from ._openai_stream import ChatStreamDecoder as OpenAIStreamDecoder
from ._wire import OperationWire

# Inside a JSON text its quotation marks would be escaped, so this is a name wherever it stands.
_THEIRS, _OURS = b'"reasoning_text":', b'"reasoning_content":'


class Copilot(OpenAI, frozen=True, kw_only=True):
    """A provider that speaks GitHub Copilot's API."""

    name: str = "github-copilot"
    base_url: str = "https://api.githubcopilot.com"
    key_variables: tuple[str, ...] = ("GITHUB_TOKEN",)
    auth: Auth = Auth(kind="copilot")

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        theirs = super().wires
        chat = replace(theirs["chat"], decode=_decode_chat, open_stream=_open_chat_stream)
        return {"chat": chat, "list_models": theirs["list_models"], "embed": theirs["embed"]}


def _read_chat(call: Call[object], body: bytes) -> ChatCompletionResponse:
    reply = read_reply(body.replace(_THEIRS, _OURS), provider=call.route.provider, model=call.route.model)
    wanted = cast("ChatCompletionRequest", call.request).n
    if len(reply.choices) > 1 and wanted in (None, 1):
        # The reply is not handed out yet, so it may still change.
        force_setattr(reply, "choices", [_joined(reply.choices)])
    return reply


def _joined(choices: Sequence[Choice]) -> Choice:
    """One reply of its pieces: the text in one, each call in another."""
    messages = [choice.message for choice in choices]
    calls = [call for message in messages for call in message.tool_calls or ()]
    reasons = [choice.finish_reason for choice in choices if choice.finish_reason is not None]
    message = AssistantMessage(
        content="".join(message.text for message in messages) or messages[0].content,
        refusal="".join(message.refusal or "" for message in messages) or None,
        tool_calls=calls or None,
        annotations=[note for message in messages for note in message.annotations or ()] or None,
        reasoning_content="".join(message.reasoning_content or "" for message in messages) or None,
    )
    return replace(choices[0], message=message, finish_reason="tool_calls" if calls else next(iter(reasons), None))


class ChatStreamDecoder(OpenAIStreamDecoder):
    """Decodes the events of one streamed chat."""

    def __init__(self, call: Call[object]) -> None:
        super().__init__(call.route.provider, call.route.model)
        self._call = call

    def feed(self, event: ServerSentEvent) -> Sequence[ChatCompletionChunk]:
        """Decode one event: none or one of ours."""
        data = event.data
        if _THEIRS not in data:
            return super().feed(event)
        return [chunk.attach(raw=data) for chunk in super().feed(replace(event, data=data.replace(_THEIRS, _OURS)))]

    def _read(self, body: bytes) -> ChatCompletionResponse:
        return _read_chat(self._call, body)


def _decode_chat(provider: Copilot, call: Call[object], body: bytes, headers: Headers) -> ChatCompletionResponse:
    return _read_chat(call, body)


def _open_chat_stream(provider: Copilot, call: Call[object]) -> ChatStreamDecoder:
    return ChatStreamDecoder(call)
