"""The request of a chat completion: the one list of its parameters."""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import msgspec
from msgspec.structs import force_setattr

from ._check import check_parameters, check_stop, typed_messages, typed_tools
from ._message import Message
from ._response_format import ResponseFormat, check_format
from ._tool import FunctionDefinition, Tool, ToolChoice


class StreamOptions(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """How a stream is sent.

    :param include_usage: whether a last chunk brings the usage; liter asks for it unless told otherwise
    :param include_obfuscation: whether chunks are padded, against guessing the text from their sizes
    """

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class AudioOutput(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """How speech is made: ``voice`` such as ``"alloy"``, ``format`` such as ``"wav"`` (``"pcm16"`` on a stream)."""

    voice: str
    format: str


class Prediction(msgspec.Struct, repr_omit_defaults=True, frozen=True, tag_field="type", tag="content"):
    """Text that much of the reply will repeat, such as a file to edit."""

    content: str | list[dict[str, object]]


class WebSearchOptions(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """How models with web search use it.

    :param search_context_size: ``"low"``, ``"medium"``, ``"high"``
    :param user_location: ``{"type": "approximate", "approximate": {"country": "FR"}}``
    """

    search_context_size: str | None = None
    user_location: dict[str, object] | None = None


class ChatCompletionRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """A chat completion as the caller means it. ``None`` is not sent: the provider's default holds.

    Messages and tools given as mappings become structs here; what is wrong is told here, before any I/O.

    :param model: ``"provider/model"``, or a name that the client routes
    :param messages: the conversation so far, oldest first; structs or mappings in OpenAI's form
    :param max_completion_tokens: limit of the reply's tokens, reasoning included
    :param max_tokens: the older name of that limit, which most other providers take
    :param temperature: randomness, 0 to 2
    :param top_p: sample from the tokens that make up this share of the probability, 0 to 1
    :param n: how many replies
    :param stop: text, or texts, at which the reply ends
    :param seed: makes sampling repeatable, as far as the provider can
    :param presence_penalty: -2 to 2, against coming back to what was said
    :param frequency_penalty: -2 to 2, against saying it often
    :param logit_bias: token id (as a string) to -100 (never) ... 100 (always)
    :param logprobs: whether to tell the log probability of each token
    :param top_logprobs: how many likely others to tell with each token
    :param tools: what the model may call; mappings of unknown type go to the provider as they are
    :param tool_choice: ``"auto"``, ``"none"``, ``"required"``, or which one
    :param parallel_tool_calls: whether one reply may have several calls
    :param response_format: the form of the reply; a type asks for JSON of that type (see ``.parsed``)
    :param reasoning_effort: how long a reasoning model thinks; each takes some of these
    :param verbosity: how long the reply is
    :param modalities: ``["text"]``, ``["text", "audio"]``
    :param audio: voice and format, with the modality ``"audio"``
    :param prediction: text that the reply will mostly repeat
    :param web_search_options: for models that search the web
    :param service_tier: price and speed; the reply tells which one was used
    :param store: whether the provider keeps the reply
    :param metadata: labels kept with it
    :param prompt_cache_key: requests with the same key share a prompt cache
    :param prompt_cache_retention: how long that cache holds: ``"in_memory"``, ``"24h"``
    :param prompt_cache_options: the same for newer models: ``{"mode": "explicit", "ttl": "30m"}``
    :param safety_identifier: a stable, hashed id of the end user, for the provider's abuse checks
    :param user: the older name of that id
    :param moderation: ``{"model": ...}`` to have prompt and reply checked
    :param stream_options: how a stream is sent
    :param functions: ``tools`` in the form before it
    :param function_call: ``tool_choice`` in the form before it
    :param extra_body: more fields of the provider's body; merged last, so they win
    :raises ValueError: what cannot be right, with what would be
    """

    model: str
    messages: Sequence[Message | Mapping[str, object]]
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | Sequence[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: Sequence[Tool | Mapping[str, object]] | None = None
    tool_choice: Literal["auto", "none", "required"] | str | ToolChoice | Mapping[str, object] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | Mapping[str, object] | type | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | str | None = None
    verbosity: Literal["low", "medium", "high"] | str | None = None
    modalities: Sequence[Literal["text", "audio"] | str] | None = None
    audio: AudioOutput | Mapping[str, object] | None = None
    prediction: Prediction | Mapping[str, object] | None = None
    web_search_options: WebSearchOptions | Mapping[str, object] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | str | None = None
    store: bool | None = None
    metadata: Mapping[str, str] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | str | None = None
    prompt_cache_options: Mapping[str, object] | None = None
    safety_identifier: str | None = None
    user: str | None = None
    moderation: Mapping[str, object] | None = None
    stream_options: StreamOptions | Mapping[str, object] | None = None
    functions: Sequence[FunctionDefinition | Mapping[str, object]] | None = None
    function_call: str | Mapping[str, object] | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_parameters(self)
        force_setattr(self, "messages", typed_messages(self.messages))
        if self.tools is not None:
            force_setattr(self, "tools", typed_tools(self.tools))
        if self.response_format is not None:
            check_format(self.response_format)
        if self.stop is not None:
            check_stop(self.stop)

    @property
    def conversation(self) -> Sequence[Message]:
        """``messages``, which are structs by now."""
        return cast("Sequence[Message]", self.messages)
