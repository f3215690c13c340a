"""Whole replies of OpenAI's wire."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import force_setattr, replace

from ..types import ChatCompletionResponse, Choice, ModelsListResponse, RefusalPart
from ._classify import classify
from ._lenient import decode_leniently
from ._openai_usage import normal_usage
from ._read import unreadable

_CHAT = msgspec.json.Decoder(ChatCompletionResponse)
_MODELS = msgspec.json.Decoder(ModelsListResponse)
_ANY = msgspec.json.Decoder(dict[str, object])

# A body without choices says one of these, or nothing.
_TELLING = frozenset({"choices", "error", "detail", "message", "errors", "base_resp"})

# Words of imitators for what OpenAI has a word for. Others stay as they are.
_FINISH_REASONS: Mapping[str, str] = {
    "eos": "stop",
    "eos_token": "stop",
    "end": "stop",
    "end_turn": "stop",
    "done": "stop",
    "stop_sequence": "stop",
    "max_length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "sensitive": "content_filter",
    "blacklist": "content_filter",
}


_OWN = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})


def finish_reason(reason: str, *, called: bool) -> str:
    """OpenAI's word for a reason to end. With tool calls, ``stop`` means that those ended it."""
    word = reason.lower()
    known = _FINISH_REASONS.get(word, word if word in _OWN else reason)
    return "tool_calls" if called and known == "stop" else known


def read_reply(body: bytes, *, provider: str, model: str) -> ChatCompletionResponse:
    """Decode a whole reply.

    :raises SerializationError: it cannot be read
    :raises LlmError: it is an error under a status of success
    """
    try:
        reply = decode_leniently(_CHAT, body)
        told = None if reply.choices else _ANY.decode(body)
        if told is not None and not told.keys() & _TELLING:
            raise msgspec.ValidationError("it has no choices")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise unreadable(body, "a chat completion", error, provider=provider, model=model) from error
    if told is not None and (told.get("error") or "choices" not in told):
        raise classify(body, status=None, provider=provider, model=model)
    for choice in reply.choices:
        _normalise(choice)
    if reply.usage is not None:
        force_setattr(reply, "usage", normal_usage(reply.usage, body, service_tier=reply.service_tier))
    return reply


def _normalise(choice: Choice) -> None:
    # The reply is not handed out yet, so it may still change.
    message = choice.message
    if isinstance(message.content, list):
        refusal = "".join(part.refusal for part in message.content if isinstance(part, RefusalPart))
        message = replace(message, content=message.text, refusal=message.refusal or refusal or None)
        force_setattr(choice, "message", message)
    if message.reasoning is not None:
        force_setattr(
            choice,
            "message",
            replace(message, reasoning=None, reasoning_content=message.reasoning_content or message.reasoning),
        )
    if choice.finish_reason is not None:
        reason = finish_reason(choice.finish_reason, called=bool(message.tool_calls))
        if reason != choice.finish_reason:
            force_setattr(choice, "native_finish_reason", choice.native_finish_reason or choice.finish_reason)
            force_setattr(choice, "finish_reason", reason)


def read_models(body: bytes, *, provider: str) -> ModelsListResponse:
    """Decode a list of models, which some send without the object around it.

    :raises SerializationError: it cannot be read
    """
    try:
        return decode_leniently(_MODELS, b'{"data":' + body + b"}" if body.lstrip()[:1] == b"[" else body)
    except msgspec.DecodeError as error:
        raise unreadable(body, "a list of models", error, provider=provider) from error
