"""What an attempt can cost at most, and what it probably costs, before it is sent.

The bound rests on this: no tokenizer makes more tokens of a text than the text has bytes, and a token that a provider's
template adds is paid for by the JSON around the text, and by an allowance for prompts that the provider hides. The
reply is bounded by the limit that the request sets. What costs by something else than that is not bounded: images,
audio, files, tools and searches that the provider runs.
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
from ..types import ChatCompletionRequest, ImagePart, TextPart

# Tokens that a provider adds to every prompt: the longest known is the system prompt of gpt-oss, about 100.
_HIDDEN = 256

# And with tools: Anthropic's table goes up to 804.
_HIDDEN_TOOLS = 1280

# Fields of ``extra_body`` that change neither what is counted nor how much of it there can be.
_HARMLESS = frozenset({"top_k", "top_a", "min_p", "repetition_penalty", "enable_thinking", "chat_template_kwargs"})

_INPUT = ("input", "cache_read", "cache_write", "cache_write_1h")
_OUTPUT = ("output", "reasoning")

# Billed beside tokens, by what the model decides or the request does not tell.
_OPEN = ("citation", "searches", "search_units", "audio", "video", "images", "pages")

_MILLION = Decimal(1_000_000)
_ZERO = Decimal(0)


class UnboundedError(Exception):
    """What an attempt costs has no bound that is known before. The message says why, and what would give it one."""


class Tokens(msgspec.Struct, frozen=True):
    """Tokens of a prompt and of its completions, each counted as one.

    :param images: how many of the prompt's tokens are those of images
    """

    prompt: int
    completion: int
    images: int = 0


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
    generation: _GenerationConfig = msgspec.field(name="generationConfig", default_factory=_GenerationConfig)
    inference: _InferenceConfig = msgspec.field(name="inferenceConfig", default_factory=_InferenceConfig)


_body = msgspec.json.Decoder(_Body)


def most_tokens(
    call: Call[object], request: HttpRequest, *, image_tokens: int | None, output_tokens: int | None
) -> Tokens:
    """Bound the tokens of a request that is about to be sent.

    :param image_tokens: what an image counts at most
    :param output_tokens: what one completion has at most where the request sets no limit
    :raises UnboundedError: nothing known bounds them
    """
    chat = call.request
    if call.operation in ("embeddings", "moderations"):
        return Tokens(len(request.body) + _HIDDEN, 0)
    if not isinstance(chat, ChatCompletionRequest):
        raise UnboundedError(f"nothing bounds what {call.operation!r} costs: give the budget bound=")
    _check_bounded(chat)
    size, images = len(request.body), 0
    for part in _parts(chat):
        if isinstance(part, TextPart):
            continue
        if not isinstance(part, ImagePart) or image_tokens is None:
            remedy = " image_tokens= or" if isinstance(part, ImagePart) else ""
            raise UnboundedError(f"nothing bounds what a {type(part).__name__} costs: give the budget{remedy} bound=")
        images += 1
        if part.image_url.url.startswith("data:"):
            size -= len(part.image_url.url)
    hidden = _HIDDEN_TOOLS if chat.tools or chat.functions else _HIDDEN
    image_total = images * (image_tokens or 0)
    completion = _completion(request.body, output_tokens)
    if chat.prediction is not None:
        # What is predicted and does not come is billed as output.
        completion += size
    return Tokens(max(size, 0) + hidden + image_total, completion, image_total)


def _check_bounded(chat: ChatCompletionRequest) -> None:
    unknown = sorted(set(chat.extra_body or ()) - _HARMLESS)
    if unknown:
        raise UnboundedError(f"extra_body may change what it costs ({', '.join(unknown)}): give the budget bound=")
    if chat.web_search_options is not None:
        raise UnboundedError("nothing bounds what web searches cost: give the budget bound=")
    for tool in chat.tools or ():
        if isinstance(tool, Mapping) and tool.get("type") not in ("function", "custom"):
            raise UnboundedError(f"nothing bounds what a tool of {tool.get('type')!r} costs: give the budget bound=")


def _parts(chat: ChatCompletionRequest) -> "Iterable[object]":
    for message in chat.conversation:
        content: object = getattr(message, "content", None)
        if isinstance(content, list | tuple):
            yield from cast("Iterable[object]", content)


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
    return limit * (told.n or told.generation.candidate_count or 1)


def dearest(found: ModelPrices, tokens: Tokens, moments: Iterable[datetime]) -> Decimal:
    """What tokens come to at the dearest rates that may hold: on any terms, of every kind that text can be.

    :raises UnboundedError: something is billed that is not tokens
    """
    row = found.row
    if not row.prices:
        return _ZERO
    rates: dict[str, list[Rate]] = {}
    periods = {id(period): period for moment in moments for period in row.prices if period.holds(moment)}
    variants = [variant.rates for variant in row.variants]
    for told in ({**found.fees}, *(period.rates for period in periods.values()), *variants):
        for name, rate in told.items():
            rates.setdefault(name, []).append(rate)
    if not periods:
        raise UnboundedError("no price holds at this time")
    unbounded = [name for name in _OPEN if name in rates and name not in found.fees]
    if unbounded:
        raise UnboundedError(f"it is billed by {', '.join(unbounded)}, too: give the budget bound=")

    def most(names: Iterable[str]) -> Decimal:
        return max((_most(rate, tokens.prompt) for name in names for rate in rates.get(name, ())), default=_ZERO)

    inputs = (*_INPUT, "image_input", "cache_read_image") if tokens.images else _INPUT
    total = (most(inputs) * tokens.prompt + most((*_OUTPUT, "audio_output")) * tokens.completion) / _MILLION
    return total * max((Decimal(1), *found.factors)) + most(("requests",))


def _most(rate: Rate, size: int) -> Decimal:
    if not isinstance(rate, Tiered):
        return rate
    reached = [step for above, step in rate.steps if rate.marginal or size > above]
    return max((rate.base, *reached))
