"""What an attempt can cost at most, before it is sent.

The bound rests on this: no tokenizer makes more tokens of a text than the text has bytes, and a token that a provider's
template adds is paid for by the JSON around the text, and by an allowance for prompts that the provider hides. The
reply is bounded by the limit that the request sets. Characters, searches and images made are counted. What costs by
something else than that is not bounded: images and files to look at, sound, tools and searches that the provider runs.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import cast

import msgspec

from .._contract import Call
from .._http import HttpRequest
from ..money import ModelPrices
from ..money._rates import Rate, Tiered
from ..types import (
    ChatCompletionRequest,
    CompletionRequest,
    CreateResponseRequest,
    EmbeddingRequest,
    ImageGenerationRequest,
    ImagePart,
    ModerationRequest,
    SearchRequest,
    SpeechRequest,
    TextPart,
)

# Tokens that a provider adds to every prompt: the longest known is the system prompt of gpt-oss, about 100.
_HIDDEN = 256

# And with tools: Anthropic's table goes up to 804.
_HIDDEN_TOOLS = 1280

# Fields of ``extra_body`` that change neither what is counted nor how much of it there can be.
_HARMLESS = frozenset({"top_k", "top_a", "min_p", "repetition_penalty", "enable_thinking", "chat_template_kwargs"})

# Parts of a response's input that are text.
_TEXTS = frozenset({"input_text", "output_text", "refusal", "summary_text", "reasoning_text", "text"})
_ITEMS = frozenset({"message", "function_call", "function_call_output", "reasoning", "custom_tool_call_output"})

_INPUT = ("input", "cache_read", "cache_write", "cache_write_1h")
_IMAGES = ("image_input", "cache_read_image")
_OUTPUT = ("output", "reasoning", "audio_output")

# Billed beside tokens. Those that a use does not count, nothing bounds.
_COUNTED = ("citation", "searches", "search_units", "audio", "video", "images", "pages", "characters")

_MILLION = Decimal(1_000_000)
_ZERO = Decimal(0)


class UnboundedError(Exception):
    """What an attempt costs has no bound that is known before. The message says why, and what would give it one."""


class Use(msgspec.Struct, frozen=True):
    """What an attempt uses at most.

    :param prompt: tokens of the prompt
    :param completion: tokens of all completions together
    :param images: how many of the prompt's tokens are those of images
    :param counts: what else is billed, by the name of its rate
    """

    prompt: int = 0
    completion: int = 0
    images: int = 0
    counts: Mapping[str, int] = {}


class _GenerationConfig(msgspec.Struct, rename="camel"):
    max_output_tokens: int | None = None
    candidate_count: int | None = None


class _InferenceConfig(msgspec.Struct, rename="camel"):
    max_tokens: int | None = None


class _Body(msgspec.Struct):
    """The fields of a body, of whichever protocol, that bound the output."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None
    generation: _GenerationConfig = msgspec.field(name="generationConfig", default_factory=_GenerationConfig)
    inference: _InferenceConfig = msgspec.field(name="inferenceConfig", default_factory=_InferenceConfig)


_body = msgspec.json.Decoder(_Body)


def most_used(
    call: Call[object], request: HttpRequest, *, image_tokens: int | None = None, output_tokens: int | None = None
) -> Use:
    """Bound what a request that is about to be sent uses.

    :param image_tokens: what an image in a chat counts at most
    :param output_tokens: what one completion has at most where the request sets no limit
    :raises UnboundedError: nothing known bounds it
    """
    asked, size = call.request, len(request.body)
    unknown = sorted(set(cast("Mapping[str, object]", getattr(asked, "extra_body", None) or {})) - _HARMLESS)
    if unknown:
        raise UnboundedError(f"extra_body may change what it costs ({', '.join(unknown)}): give the budget bound=")
    match asked:
        case ChatCompletionRequest():
            return _chat(asked, request.body, image_tokens, output_tokens)
        case CreateResponseRequest():
            _check_response(asked)
            return Use(size + (_HIDDEN_TOOLS if asked.tools else _HIDDEN), _completion(request.body, output_tokens))
        case CompletionRequest():
            return Use(size + _HIDDEN, _completion(request.body, output_tokens))
        case EmbeddingRequest() | ModerationRequest():
            if not isinstance(asked.input, str) and any(isinstance(part, Mapping) for part in asked.input):
                raise _unbounded(call.operation, "with anything but text")
            return Use(size + _HIDDEN)
        case SpeechRequest():
            return Use(counts={"characters": len(asked.input) + len(asked.instructions or "")})
        case SearchRequest():
            return Use(counts={"searches": 1})
        case ImageGenerationRequest():
            return Use(counts={"images": asked.n or 1})
        case _:
            raise _unbounded(call.operation)


def _unbounded(what: str, how: str = "") -> UnboundedError:
    return UnboundedError(f"nothing bounds what {what} {how + ' ' if how else ''}costs: give the budget bound=")


def _chat(chat: ChatCompletionRequest, body: bytes, image_tokens: int | None, output_tokens: int | None) -> Use:
    if chat.web_search_options is not None:
        raise _unbounded("a web search")
    _check_tools(chat.tools or ())
    size, images = len(body), 0
    for message in chat.conversation:
        for part in _parts(getattr(message, "content", None)):
            if isinstance(part, TextPart):
                continue
            if not isinstance(part, ImagePart):
                raise _unbounded(type(part).__name__)
            if image_tokens is None:
                raise UnboundedError("nothing bounds what an ImagePart costs: give the budget image_tokens= or bound=")
            images += image_tokens
            if part.image_url.url.startswith("data:"):
                size -= len(part.image_url.url)
    completion = _completion(body, output_tokens)
    if chat.prediction is not None:
        # What is predicted and does not come is billed as output.
        completion += size
    hidden = _HIDDEN_TOOLS if chat.tools or chat.functions else _HIDDEN
    return Use(max(size, 0) + hidden + images, completion, images)


def _check_tools(tools: Iterable[object]) -> None:
    for tool in tools:
        kind: object = cast("Mapping[str, object]", tool).get("type") if isinstance(tool, Mapping) else "function"
        if kind not in ("function", "custom"):
            raise _unbounded(f"a tool of {kind!r}")


def _check_response(asked: CreateResponseRequest) -> None:
    for name in ("previous_response_id", "conversation", "prompt", "context_management", "background"):
        if getattr(asked, name):
            raise _unbounded("a response", f"with {name}")
    _check_tools(asked.tools or ())
    for item in () if asked.input is None or isinstance(asked.input, str) else asked.input:
        if item.get("type", "message") not in _ITEMS:
            raise _unbounded(f"an item of {item.get('type')!r}")
        for part in (*_parts(item.get("content")), *_parts(item.get("output"))):
            kind = cast("Mapping[str, object]", part).get("type") if isinstance(part, Mapping) else part
            if kind not in _TEXTS:
                raise _unbounded(f"a part of {kind!r}")


def _parts(content: object) -> tuple[object, ...]:
    return tuple(cast("Iterable[object]", content)) if isinstance(content, list | tuple) else ()


def _completion(body: bytes, output_tokens: int | None) -> int:
    try:
        told = _body.decode(body)
    except msgspec.MsgspecError:
        told = _Body()
    limits = (
        *(told.max_tokens, told.max_completion_tokens, told.max_output_tokens),
        *(told.generation.max_output_tokens, told.inference.max_tokens),
    )
    limit = max((limit for limit in limits if limit is not None), default=output_tokens)
    if limit is None:
        raise UnboundedError(
            "the request sets no limit of its output: give it max_completion_tokens=, or the budget output_tokens="
        )
    return limit * max(told.n or 1, told.best_of or 1, told.generation.candidate_count or 1)


def has_price(found: ModelPrices, moment: datetime) -> bool:
    """Whether a model that the book has is free, or has a price at this time; some are only named there."""
    prices = found.row.prices
    return not prices or any(period.rates and period.holds(moment) for period in prices)


class Ceiling:
    """The dearest rates of a model that may hold: on any terms, of every kind that text can be.

    :param moments: the times at which they may be asked for
    :raises UnboundedError: no price holds then
    """

    __slots__ = ("_factor", "_fees", "_free", "_rates")

    def __init__(self, found: ModelPrices, moments: Iterable[datetime]) -> None:
        row = found.row
        self._free = not row.prices
        self._rates: dict[str, list[Rate]] = {}
        periods = {id(period): period for moment in moments for period in row.prices if period.holds(moment)}
        if not periods and not self._free:
            raise UnboundedError("no price holds at this time")
        for told in (*(period.rates for period in periods.values()), *(variant.rates for variant in row.variants)):
            for name, rate in told.items():
                self._rates.setdefault(name, []).append(rate)
        self._fees = found.fees
        self._factor = max((Decimal(1), *found.factors))

    def most(self, use: Use) -> Decimal:
        """What a use comes to.

        :raises UnboundedError: something is billed that the use does not bound
        """
        if self._free:
            return _ZERO
        open_ended = [name for name in _COUNTED if name in self._rates and name not in use.counts]
        if open_ended:
            raise UnboundedError(f"it is billed by {', '.join(open_ended)}: give the budget bound=")
        if use.counts and not self._rates.keys() & use.counts.keys():
            raise UnboundedError(f"it is not billed by {', '.join(use.counts)}: give the budget bound=")
        inputs = (*_INPUT, *_IMAGES) if use.images else _INPUT
        tokens = self._rate(inputs, use.prompt) * use.prompt + self._rate(_OUTPUT, use.prompt) * use.completion
        total = tokens / _MILLION * self._factor + self._rate(("requests",), use.prompt)
        for name, count in use.counts.items():
            total += self._rate((name,), use.prompt) * count / _units(name)
        return total

    def _rate(self, names: Iterable[str], size: int) -> Decimal:
        dearest = _ZERO
        for name in names:
            for rate in self._rates.get(name, ()):
                dearest = max(dearest, _most(rate, size))
            if name in self._fees:
                dearest = max(dearest, _most(self._fees[name], size))
        return dearest


def _units(name: str) -> Decimal:
    return _MILLION if name == "characters" else Decimal(1)


def _most(rate: Rate, size: int) -> Decimal:
    if not isinstance(rate, Tiered):
        return rate
    reached = [step for above, step in rate.steps if rate.marginal or size > above]
    return max((rate.base, *reached))
