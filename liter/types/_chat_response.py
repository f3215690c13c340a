"""The reply to a chat completion. All of it is optional when read: providers leave out what they like."""

import builtins
from typing import TYPE_CHECKING, Self, TypeVar, cast

import msgspec

from .._http import Headers
from ._always import always
from ._message import AssistantMessage
from ._response import ApiResponse, JsonObject
from ._response_format import decode_as
from ._usage import Usage

if TYPE_CHECKING:
    from .._contract import Attempt
    from ..money import Cost

T = TypeVar("T")


class TopLogprob(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A token that could have come, and its natural log probability."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None


class TokenLogprob(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A token that came, its natural log probability, its UTF-8 bytes, and likely others in its place."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] = []


class Logprobs(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Log probabilities of the tokens of content, refusal and (DeepSeek) reasoning."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None
    reasoning_content: list[TokenLogprob] | None = None


class Choice(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """One of ``n`` replies.

    :param finish_reason: ``"stop"``, ``"length"``, ``"tool_calls"``, ``"content_filter"``; the provider's own
        word where none of these says it, ``None`` where it said nothing
    :param native_finish_reason: the provider's own word, where it is another
    :param stop_sequence: the text of ``stop`` that ended it, where the provider tells
    """

    index: int = always(0)
    message: AssistantMessage = always(AssistantMessage())
    finish_reason: str | None = always(None)
    logprobs: Logprobs | None = always(None)
    native_finish_reason: str | None = None
    stop_sequence: str | None = None


class ChatCompletionResponse(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """The reply to a chat completion.

    :param created: Unix time, in seconds; 0 where the provider does not tell
    :param model: the model that answered
    :param usage: token counts; ``None`` is unknown, never zero
    :param service_tier: the tier that was used
    :param provider: who served it, where a gateway tells (OpenRouter)
    :param citations: addresses of sources that the text numbers (Perplexity, xAI)
    :param search_results: those sources with title and date (Perplexity)
    :param moderation: the outcome of the check asked for by ``moderation``
    :param native: fields of the provider's own reply that OpenAI's form has no place for
    """

    id: str = always("")
    object: str = always("chat.completion")
    created: int = always(0)
    model: str = always("")
    choices: list[Choice] = msgspec.field(default_factory=list[Choice])  # encoded when it is empty, too
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    provider: str | None = None
    citations: list[str] | None = None
    search_results: list[JsonObject] | None = None
    moderation: JsonObject | None = None
    native: JsonObject | None = None

    def attach(
        self,
        *,
        request_id: str | None,
        headers: Headers,
        raw: bytes,
        attempts: "tuple[Attempt, ...]" = (),
        request: msgspec.Struct | None = None,
        origin: str = "provider",
        cost: "Cost | None" = None,
        saved: "Cost | None" = None,
    ) -> Self:
        """Attach the facts of the answer. The request's ``response_format``, if it is a type, is for :attr:`parsed`."""
        kind = getattr(request, "response_format", None)
        if isinstance(kind, type):
            vars(self)["_parse_as"] = kind
        return super().attach(
            request_id=request_id,
            headers=headers,
            raw=raw,
            attempts=attempts,
            origin=origin,
            cost=cost,
            saved=saved,
        )

    @property
    def text(self) -> str:
        """The text of the first choice; empty when there is none."""
        return self.choices[0].message.text if self.choices else ""

    @property
    def parsed(self) -> builtins.object:
        """The first choice's JSON, decoded into the type that the request gave as ``response_format``.

        ``None`` when it gave none, and when the model declined or called tools in place of an answer.

        :raises ValueError: the text is not JSON of that type
        """
        kind: type | None = vars(self).get("_parse_as")
        if kind is None or not self.text:
            return None
        return self.parsed_as(cast("type[builtins.object]", kind))

    def parsed_as(self, kind: type[T]) -> T:
        """Decode the first choice's JSON into a struct, dataclass, TypedDict or pydantic model.

        :raises ValueError: the text is not JSON of that type; see ``finish_reason`` for why
        """
        return decode_as(kind, self.text)
