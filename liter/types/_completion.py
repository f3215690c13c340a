"""The text completion that was there before chat."""

from collections.abc import Mapping, Sequence

import msgspec

from ._chat_request import StreamOptions
from ._checks import check_count, check_model, check_range
from ._response import ApiResponse
from ._usage import Usage


class CompletionRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for the continuation of a text, in OpenAI's form. ``None`` is not sent.

    :param model: ``"provider/model"``, or a name that the client routes
    :param prompt: a text, or several; token ids, or several lists of them
    :param suffix: what comes after the text that is to be filled in
    :param best_of: how many are made, of which the ``n`` likeliest are returned
    :param echo: whether the prompt is repeated in the reply
    :param logprobs: how many likely tokens to tell with each
    :param extra_body: more fields of the provider's body; merged last, so they win
    :raises ValueError: what cannot be right, with what would be

    The other parameters mean what they mean in :class:`ChatCompletionRequest`.
    """

    model: str
    prompt: str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]
    suffix: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    best_of: int | None = None
    echo: bool | None = None
    logprobs: int | None = None
    stop: str | Sequence[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    seed: int | None = None
    user: str | None = None
    stream_options: StreamOptions | Mapping[str, object] | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_model(self.model, "openai/gpt-3.5-turbo-instruct")
        check_count(self.max_tokens, "max_tokens", low=0)
        check_count(self.n, "n")
        check_count(self.best_of, "best_of")
        check_count(self.logprobs, "logprobs", low=0)
        check_range(self.temperature, "temperature", 0, 2)
        check_range(self.top_p, "top_p", 0, 1)


class CompletionLogprobs(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Natural log probabilities, one for each token."""

    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None
    text_offset: list[int] | None = None


class CompletionChoice(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """One of ``n`` continuations; on a stream, the next piece of it.

    :param finish_reason: ``"stop"``, ``"length"``, ``"content_filter"``; ``None`` while a stream goes on
    """

    text: str = ""
    index: int = 0
    finish_reason: str | None = None
    logprobs: CompletionLogprobs | None = None


class CompletionResponse(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A text completion; on a stream, a piece of it.

    :param usage: token counts; ``None`` is unknown, never zero
    """

    id: str = ""
    object: str = "text_completion"
    created: int = 0
    model: str = ""
    choices: list[CompletionChoice] = msgspec.field(default_factory=list[CompletionChoice])
    usage: Usage | None = None
    system_fingerprint: str | None = None

    @property
    def text(self) -> str:
        """The text of the first choice; empty when there is none."""
        return self.choices[0].text if self.choices else ""
