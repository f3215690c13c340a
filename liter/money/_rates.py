"""Rates: what one unit costs, and what a usage comes to at them."""

from bisect import bisect_left
from collections.abc import Mapping
from decimal import Context, Decimal
from operator import attrgetter
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ..types import PromptTokensDetails, Usage
from ._cost import EXACT
from ._token_classes import TokenClasses, parts


class Tiered(msgspec.Struct, array_like=True, frozen=True):
    """A rate that depends on size.

    :param base: the rate up to the first step
    :param steps: sizes, ascending, and the rate above each (a size of exactly that much is still below)
    :param marginal: ``False``: the size of the prompt decides on the rate of the whole request. ``True``: only what
        is above a step costs that step's rate, counted within the class
    """

    base: Decimal
    steps: tuple[tuple[int, Decimal], ...]
    marginal: bool = False

    def at(self, size: int) -> Decimal:
        """The rate of a request whose prompt has this size."""
        return next((rate for above, rate in reversed(self.steps) if size > above), self.base)

    def amount(self, count: int | Decimal) -> Decimal:
        """What ``count`` units come to at marginal rates."""
        total, rate, below = Decimal(0), self.base, Decimal(0)
        for above, next_rate in self.steps:
            if count <= above:
                break
            total = EXACT.add(total, EXACT.multiply(rate, above - below))
            rate, below = next_rate, Decimal(above)
        return EXACT.add(total, EXACT.multiply(rate, count - below))


Rate = Decimal | Tiered

# Which rate a class of tokens has: the first one there is. A class without its own is priced as what it is a part of.
CHAINS: Mapping[str, tuple[str, ...]] = {
    "text_input": ("input",),
    "cache_read": ("cache_read", "input"),
    "cache_read_audio": ("cache_read_audio", "cache_read", "audio_input", "input"),
    "cache_read_image": ("cache_read_image", "cache_read", "image_input", "input"),
    "cache_read_video": ("cache_read_video", "cache_read", "video_input", "input"),
    "cache_write_5m": ("cache_write", "input"),
    "cache_write_1h": ("cache_write_1h", "cache_write", "input"),
    "audio_input": ("audio_input", "input"),
    "image_input": ("image_input", "input"),
    "video_input": ("video_input", "input"),
    "text_output": ("output",),
    "reasoning": ("reasoning", "output"),
    "citation": ("citation", "output"),
    "audio_output": ("audio_output", "output"),
    "image_output": ("image_output", "output"),
    "video_output": ("video_output", "output"),
}

# Where the rate of something else is probably not what is billed: a discount, or a surcharge, that is not known.
_ASSUMING = {
    ("cache_read", "input"),
    ("cache_read_audio", "input"),
    ("cache_read_image", "input"),
    ("cache_read_video", "input"),
    ("cache_write_1h", "cache_write"),
}

TOKEN_RATES = frozenset(name for chain in CHAINS.values() for name in chain)

# What else is billed: the rate's name, and the field of a usage that counts it.
_QUANTITIES = (
    ("audio", "audio_seconds"),
    ("video", "video_seconds"),
    ("characters", "characters"),
    ("pages", "pages"),
    ("annotated_pages", "annotated_pages"),
    ("images", "images"),
    ("searches", "searches"),
    ("search_units", "search_units"),
)

# Uses of tools, by the name under which a usage reports them.
_TOOLS: Mapping[str, str] = {
    "web_search_requests": "web_searches",
    "web_fetch_requests": "web_fetches",
    "file_search_requests": "file_searches",
    "code_execution_requests": "code_executions",
}

_counts_of = attrgetter(*(field for _, field in _QUANTITIES))

OTHER_RATES = frozenset({"requests", *(name for name, _ in _QUANTITIES), *_TOOLS.values()})

_SECONDS_PER_HOUR = 3600
_ZERO = Decimal(0)

# Seconds of an hourly rate may be a fraction without end. It ends at the precision that Python's decimals have.
_FRACTION = Context(prec=28)


class Charge(NamedTuple):
    """What a usage comes to."""

    total: Decimal
    classes: dict[str, Decimal]
    unpriced: tuple[str, ...]
    assumed: tuple[str, ...]


class _Bucket(NamedTuple):
    """The rates of the requests of one size.

    :param rates: per single token, by class
    :param assumed: what is assumed in them, by class
    :param chosen: the names that they have in the price list, by class
    """

    rates: dict[str, Rate]
    assumed: dict[str, str]
    chosen: dict[str, str]


class RateCard:
    """The rates of one model, at one time, on the same terms.

    :param rates: by name, per million tokens or characters, per hour of audio, or by the piece
    :param factor: by which the geography multiplies the price of tokens
    :param minimum_seconds: seconds of audio that are billed at least
    :param assumed: what the price book does not say, and these rates assume
    """

    __slots__ = (
        "_assumed",
        "_buckets",
        "_by_token",
        "_factor",
        "_free",
        "_minimum_seconds",
        "_request",
        "_sizes",
        "rates",
    )

    def __init__(
        self,
        rates: Mapping[str, Rate],
        *,
        factor: Decimal = Decimal(1),
        minimum_seconds: int = 0,
        assumed: tuple[str, ...] = (),
    ) -> None:
        self.rates: Mapping[str, Rate] = rates
        self._factor = factor
        self._minimum_seconds = minimum_seconds
        self._assumed = assumed
        cliffs = [rate for rate in rates.values() if isinstance(rate, Tiered) and not rate.marginal]
        self._sizes = sorted({above for rate in cliffs for above, _ in rate.steps})
        self._buckets: dict[int, _Bucket] = {}
        self._free = bool(rates) and not any(map(_is_charged, rates.values()))
        self._by_token = not TOKEN_RATES.isdisjoint(rates)
        requests = rates.get("requests")
        self._request = requests.base if isinstance(requests, Tiered) else requests

    def charge(self, usage: Usage) -> Charge:
        """Price a usage.

        :raises ValueError: the usage contradicts itself where that changes the price
        """
        if usage.billed_units:
            usage = _billed(usage, usage.billed_units)
        size = usage.prompt_tokens
        number = bisect_left(self._sizes, size) if self._sizes else 0
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = self._bucket(size)
        amounts: dict[str, Decimal] = {}
        missing: list[str] = []
        assumed = self._assumed
        counts = parts(usage)
        if any(count < 0 for count in counts.values()):
            counts, told = _merged(usage, counts, bucket.chosen)
            assumed += told
        rates = bucket.rates
        for name, count in counts.items():
            rate = rates.get(name)
            if rate is None:
                missing.append(name)
            elif isinstance(rate, Tiered):
                amounts[name] = rate.amount(count)
            else:
                amounts[name] = EXACT.multiply(rate, count)
        if bucket.assumed:
            assumed += tuple(note for name, note in bucket.assumed.items() if name in amounts)
        if any(_counts_of(usage)):
            self._charge_counts(usage, amounts, missing)
        if missing and self._free:
            missing = []
        elif missing and amounts and not self._by_token:
            # What is billed by the second or by the piece reports tokens as well, and they cost nothing.
            missing = []
        unpriced = () if self._free else (*usage.unreported, *missing)
        if self._request is not None:
            amounts["requests"] = self._request
        if usage.server_tool_use:
            tools = [(_TOOLS.get(tool, tool), count) for tool, count in usage.server_tool_use.items() if count]
            unpriced += tuple(name for name, count in tools if not self._charge_count(name, count, amounts))
        total = _ZERO
        for amount in amounts.values():
            total = EXACT.add(total, amount)
        return Charge(total, amounts, unpriced, assumed)

    def _charge_counts(self, usage: Usage, amounts: dict[str, Decimal], missing: list[str]) -> None:
        """Charge what is counted other than tokens.

        The same work may be counted in several ways, as speech by tokens and by seconds, of which one is billed:
        a count without a price is missing only where no other has one.
        """
        counts = {name: count for (name, _), count in zip(_QUANTITIES, _counts_of(usage), strict=True) if count}
        if usage.pages and usage.annotated_pages and "annotated_pages" in self.rates:
            counts["pages"] = usage.pages - usage.annotated_pages
        unknown = [name for name, count in counts.items() if not self._charge_count(name, count, amounts)]
        if not amounts:
            missing += unknown

    def _charge_count(self, name: str, count: int | Decimal, amounts: dict[str, Decimal]) -> bool:
        rate = self.rates.get(name)
        if rate is None:
            return False
        if name == "audio" and count < self._minimum_seconds:
            count = self._minimum_seconds
        if isinstance(rate, Tiered):
            amount = rate.amount(count) if rate.marginal else EXACT.multiply(rate.base, count)
        else:
            amount = EXACT.multiply(rate, count)
        if name == "audio":
            amount = _FRACTION.divide(amount, _SECONDS_PER_HOUR)
        elif name == "characters":
            amount = amount.scaleb(-6, EXACT)
        amounts[name] = amount
        return True

    def _bucket(self, size: int) -> _Bucket:
        rates: dict[str, Rate] = {}
        assumed: dict[str, str] = {}
        by_class: dict[str, str] = {}
        for name, chain in CHAINS.items():
            chosen = next((rate for rate in chain if rate in self.rates), None)
            if chosen is None:
                continue
            by_class[name] = chosen
            rate = self.rates[chosen]
            if isinstance(rate, Tiered) and rate.marginal:
                steps = tuple((above, self._per_token(step)) for above, step in rate.steps)
                rates[name] = Tiered(self._per_token(rate.base), steps, True)
            else:
                rates[name] = self._per_token(rate.at(size) if isinstance(rate, Tiered) else rate)
            if (name, chosen) in _ASSUMING:
                assumed[name] = f"{name} at the price of {chosen}"
        return _Bucket(rates, assumed, by_class)

    def _per_token(self, rate: Decimal) -> Decimal:
        return EXACT.multiply(rate.scaleb(-6, EXACT), self._factor)


def _merged(
    usage: Usage, counts: Mapping[str, int], chosen: Mapping[str, str]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Put classes of the same price together, where the report contradicts itself between them only.

    Some providers count reasoning with another tokenizer than the completion that it is a part of. Where both cost
    the same, the price is that of the total.

    :return: the counts, and what is assumed with them
    :raises ValueError: the contradiction changes the price
    """
    merged: dict[str, int] = {}
    negative = [name for name, count in counts.items() if count < 0]
    for name in negative:
        alike = [other for other, rate in chosen.items() if rate == chosen.get(name)] or [name]
        merged |= {other: 0 for other in alike if other in counts}
        merged[alike[0]] = sum(counts.get(other, 0) for other in alike)
        if merged[alike[0]] < 0:
            TokenClasses.of(usage)
    note = f"the parts that are told contradict the total, which was priced ({', '.join(negative)})"
    return {name: count for name, count in {**counts, **merged}.items() if count}, (note,)


def _is_charged(rate: Rate) -> bool:
    return bool(rate.base or any(step for _, step in rate.steps)) if isinstance(rate, Tiered) else bool(rate)


def _billed(usage: Usage, units: Mapping[str, float]) -> Usage:
    """The usage that is billed, where a provider tells it beside what was used (Cohere)."""
    prompt, images = int(units.get("input_tokens", 0)), int(units.get("image_tokens", 0))
    return replace(
        usage,
        prompt_tokens=prompt + images,
        completion_tokens=int(units.get("output_tokens", 0)),
        # What was cached is told of the tokens that were used, and not of these.
        prompt_tokens_details=PromptTokensDetails(image_tokens=images) if images else None,
        completion_tokens_details=None,
        search_units=int(units.get("search_units", 0)) or usage.search_units,
    )
