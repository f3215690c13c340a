"""Reads the prices of the ``genai-prices`` package into our own form: at build time, and for a live book."""

from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING

from ._rates import Rate, Tiered
from ._schema import Period, ProviderRows, Row, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genai_prices import types

# Their names of providers, where ours differ.
PROVIDERS: Mapping[str, str] = {
    "aws": "bedrock",
    "google": "gemini",
    "moonshotai": "moonshot",
    "voyageai": "voyage",
    "x-ai": "xai",
    "zhipuai": "zhipu",
}

# The models of a router, one of their providers for each of its upstreams: ours is one, whose models say the upstream.
_ROUTED = "huggingface_"

# Their prices by our rates, and the digits to shift by: theirs are of a thousand pieces where ours are of one.
_RATES: Mapping[str, tuple[str, int]] = {
    "input_mtok": ("input", 0),
    "output_mtok": ("output", 0),
    "cache_read_mtok": ("cache_read", 0),
    "cache_audio_read_mtok": ("cache_read_audio", 0),
    "cache_image_read_mtok": ("cache_read_image", 0),
    "cache_video_read_mtok": ("cache_read_video", 0),
    "cache_write_mtok": ("cache_write", 0),
    "cache_write_1h_mtok": ("cache_write_1h", 0),
    "input_audio_mtok": ("audio_input", 0),
    "output_audio_mtok": ("audio_output", 0),
    "input_image_mtok": ("image_input", 0),
    "output_image_mtok": ("image_output", 0),
    "input_video_mtok": ("video_input", 0),
    "output_video_mtok": ("video_output", 0),
    "output_reasoning_mtok": ("reasoning", 0),
    "output_citation_mtok": ("citation", 0),
    "input_mchars": ("characters", 0),
    "audio_hours": ("audio", 0),
    "input_audio_hours": ("audio", 0),
    "input_document_kpages": ("pages", 3),
    "input_annotated_document_kpages": ("annotated_pages", 3),
    "requests_kcount": ("requests", 3),
    "web_searches_kcount": ("web_searches", 3),
    "storage_searches_kcount": ("file_searches", 3),
    "code_executions_kcount": ("code_executions", 3),
    "rerank_searches_kcount": ("search_units", 3),
}

# Not a price: what nothing counts (messages to a voice agent).
_LEFT_OUT = frozenset({"input_text_messages_kcount"})

# What is in their code, and not in their data.
_MINIMUM_SECONDS = {("groq", "whisper-large-v3"): 10, ("groq", "whisper-large-v3-turbo"): 10}


def live_providers() -> tuple[str, dict[str, ProviderRows]]:
    """The installed package's version and prices, with its updates.

    :raises ImportError: it is not installed
    """
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    name = f"genai-prices {version('genai-prices')}"
    if snapshot.from_auto_update:
        name += f" updated {snapshot.timestamp:%Y-%m-%d %H:%M}"
    return name, converted(snapshot.providers)


def converted(providers: "Sequence[types.Provider]") -> dict[str, ProviderRows]:
    """Convert their providers, by our names."""
    made: dict[str, ProviderRows] = {}
    routed: list[Row] = []
    for provider in providers:
        rows = tuple(_row(provider.id, model) for model in provider.models)
        if provider.id.startswith(_ROUTED):
            upstream = provider.id.removeprefix(_ROUTED)
            routed += [_of_upstream(row, upstream) for row in rows]
        else:
            fallback = tuple(PROVIDERS.get(name, name) for name in provider.fallback_model_providers or ())
            made[PROVIDERS.get(provider.id, provider.id)] = ProviderRows(models=rows, fallback=fallback)
    if routed:
        made["huggingface"] = ProviderRows(models=tuple(routed))
    return made


def _of_upstream(row: Row, upstream: str) -> Row:
    names = [clause for clause in row.match if isinstance(clause, str) and clause.startswith("=")]
    return Row(
        id=f"{row.id}:{upstream}",
        match=tuple(f"{name}:{upstream}" for name in names or [f"={row.id}"]),
        prices=row.prices,
        variants=row.variants,
        context=row.context,
    )


def _row(provider: str, model: "types.ModelInfo") -> Row:
    from genai_prices.types import ModelPrice

    prices = model.prices
    periods = [Period(rates=_rates(prices))] if isinstance(prices, ModelPrice) else list(_periods(prices))
    variants = tuple(
        Variant(when=dict(variant.when), rates=rates, since=_since(variant.constraint))
        for variant in model.price_variants or ()
        if (rates := _rates(variant.prices))
    )
    match = _clauses(model.match)
    return Row(
        id=model.id,
        match=() if match == [f"={model.id.lower()}"] else tuple(match),
        prices=tuple(periods),
        variants=variants,
        minimum_seconds=_MINIMUM_SECONDS.get((provider, model.id), 0),
        context=model.context_window,
    )


def _periods(prices: "Sequence[types.ConditionalPrice]") -> Iterator[Period]:
    from genai_prices.types import TimeOfDateConstraint

    for price in prices:
        constraint = price.constraint
        if isinstance(constraint, TimeOfDateConstraint):
            hours = ((_minute(constraint.start_time), _minute(constraint.end_time)),)
            yield Period(rates=_rates(price.prices), hours=hours)
        else:
            yield Period(rates=_rates(price.prices), since=_since(constraint))


def _since(constraint: object) -> date | None:
    from genai_prices.types import StartDateConstraint

    if constraint is None:
        return None
    if not isinstance(constraint, StartDateConstraint):
        raise TypeError(f"a condition of an unknown kind: {constraint!r}")
    return constraint.start_date


def _minute(moment: time) -> int:
    if moment.second or moment.utcoffset():
        raise ValueError(f"a time that is no minute in UTC: {moment!r}")
    return moment.hour * 60 + moment.minute


def _rates(price: "types.ModelPrice") -> dict[str, Rate]:
    from genai_prices.types import TieredPrices

    rates: dict[str, Rate] = {}
    told: Mapping[str, object] = vars(price)
    for key, value in told.items():
        if value is None or key in _LEFT_OUT:
            continue
        name, thousands = _RATES[key]
        if isinstance(value, TieredPrices):
            steps = tuple((tier.start, _per_piece(tier.price, thousands)) for tier in value.tiers)
            rates[name] = Tiered(_per_piece(value.base, thousands), steps)
        elif isinstance(value, Decimal):
            rates[name] = _per_piece(value, thousands)
        else:
            raise TypeError(f"{key}: a price of an unknown kind: {value!r}")
    return rates


def _per_piece(price: Decimal, digits: int) -> Decimal:
    return price.scaleb(-digits).normalize() if digits else price


def _clauses(match: object) -> list[object]:
    """The clauses of which one must hold."""
    from genai_prices import types

    return [_clause(one) for one in match.or_] if isinstance(match, types.ClauseOr) else [_clause(match)]


def _clause(match: object) -> object:
    from genai_prices import types

    if isinstance(match, types.ClauseEquals):
        return f"={match.equals.lower()}"
    if isinstance(match, types.ClauseStartsWith):
        return f"^{match.starts_with.lower()}"
    if isinstance(match, types.ClauseEndsWith):
        return f"${match.ends_with.lower()}"
    if isinstance(match, types.ClauseContains):
        return f"~{match.contains.lower()}"
    if isinstance(match, types.ClauseRegex):
        return f"/{match.regex}"
    if isinstance(match, types.ClauseOr):
        return _clauses(match)
    if isinstance(match, types.ClauseAnd):
        return {"all": [_clause(one) for one in match.and_]}
    raise TypeError(f"a match of an unknown kind: {match!r}")
