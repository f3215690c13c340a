"""Layers of a configuration: which there are, which settings each takes, and how these are made."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import cast

import msgspec

from .._call import Timeouts
from .._contract import Layer
from .._errors import LlmError
from ..middleware import (
    Budget,
    Cache,
    CircuitBreaker,
    CircuitPolicy,
    Concurrency,
    CostTracking,
    Deployment,
    Fallback,
    Guardrails,
    Hedge,
    Hooks,
    Ledger,
    Limit,
    Mock,
    RateLimit,
    Retry,
    RetryBudget,
    Router,
    Rule,
    Semantic,
    SpendLimit,
    Target,
    Timeout,
    Tracing,
)
from ..money import Price
from ..stores import Store
from ._tables import Table, check_keys, imported, made, table, tables, text


class Parts(msgspec.Struct, frozen=True):
    """What layers may refer to: stores by name."""

    stores: Mapping[str, Store]


Setting = Callable[[object, str, Parts], object]


class LayerKind(msgspec.Struct, frozen=True):
    """A layer: its constructor, and its settings by name.

    :param spread: the setting whose items are the constructor's positional arguments
    """

    make: Callable[..., Layer]
    settings: Mapping[str, Setting]
    spread: str | None = None


def _plain(value: object, where: str, parts: Parts) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_plain(item, where, parts) for item in cast("Sequence[object]", value))
    return value


def _exact(value: object, where: str, parts: Parts) -> object:
    return value


def _imported(value: object, where: str, parts: Parts) -> object:
    return imported(value, where)


def _store(value: object, where: str, parts: Parts) -> Store:
    name = text(value, where)
    if name not in parts.stores:
        known = ", ".join(sorted(parts.stores)) or "none"
        raise ValueError(f"{where}: there is no store {name!r}; [stores] has {known}")
    return parts.stores[name]


def _struct(kind: Callable[..., object], converted: Mapping[str, Setting]) -> Setting:
    """A table that is the arguments of a constructor."""

    def read(value: object, where: str, parts: Parts) -> object:
        given = table(value, where)
        check_keys(given, converted, where)
        return made(kind, where, **{key: converted[key](item, f"{where}.{key}", parts) for key, item in given.items()})

    return read


def _several(read: Setting) -> Setting:
    def read_all(value: object, where: str, parts: Parts) -> object:
        return [read(item, f"{where}[{index}]", parts) for index, item in enumerate(tables(value, where))]

    return read_all


def _text_or(read: Setting) -> Setting:
    """Items of a list that are texts, or tables."""

    def read_all(value: object, where: str, parts: Parts) -> object:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ValueError(f"{where} must be a list, not {value!r}")
        return [
            item if isinstance(item, str) else read(item, f"{where}[{index}]", parts)
            for index, item in enumerate(cast("Sequence[object]", value))
        ]

    return read_all


def _errors_of(value: object, where: str, parts: Parts) -> object:
    """Names of errors, or one function."""
    if isinstance(value, str) and ":" in value:
        return imported(value, where)
    names = [value] if isinstance(value, str) else cast("Sequence[object]", value)
    known = {kind.__name__: kind for kind in _tree(LlmError)}
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: {name!r} is no error of liter's, such as 'RateLimitedError'")
    return tuple(known[str(name)] for name in names)


def _tree(kind: type[LlmError]) -> Iterator[type[LlmError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _tree(narrower)


def _plain_settings(*names: str) -> Mapping[str, Setting]:
    return dict.fromkeys(names, _plain)


_LIMIT = _struct(Limit, _plain_settings("amount", "unit", "per", "by", "burst"))
_SPEND_LIMIT = _struct(SpendLimit, {"amount": _exact, **_plain_settings("per", "by", "only", "time_zone")})
_PRICE = _struct(
    Price,
    dict.fromkeys(
        (name for name in Price.__struct_fields__ if name not in ("above", "since", "until", "match", "hours", "days")),
        _exact,
    ),
)
_CIRCUIT = _struct(
    CircuitPolicy, _plain_settings("error_rate", "min_calls", "window", "open_seconds", "max_open_seconds", "probes")
)
_TARGET = _struct(Target, {**_plain_settings("model", "changes", "share", "prefix"), "when": _errors_of})
_DEPLOYMENT_TABLE = _struct(Deployment, {**_plain_settings("model", "weight", "base_url"), "price": _PRICE})
_SEMANTIC = _struct(Semantic, {"embed": _imported, **_plain_settings("threshold", "entries", "timeout", "space")})
_RULE = _struct(Rule, _plain_settings("find", "action", "on", "replacement", "name"))
_RETRY_BUDGET = _struct(RetryBudget, _plain_settings("ratio", "min_per_second", "window"))
_TIMEOUTS = _struct(Timeouts, _plain_settings("connect", "first_event", "between_events", "total"))


def _deployment(value: object, where: str, parts: Parts) -> object:
    return made(Deployment, where, value) if isinstance(value, str) else _DEPLOYMENT_TABLE(value, where, parts)


def _pools(value: object, where: str, parts: Parts) -> object:
    pools: dict[str, list[object]] = {}
    for name, members in table(value, where).items():
        place = f"{where}.{name}"
        if not isinstance(members, Sequence) or isinstance(members, str):
            raise ValueError(f"{place} must be a list of deployments, not {members!r}")
        pools[name] = [
            _deployment(member, f"{place}[{index}]", parts)
            for index, member in enumerate(cast("Sequence[object]", members))
        ]
    return pools


def timeout(value: object, where: str, parts: Parts) -> object:
    """Seconds, or a table of the four limits."""
    return _TIMEOUTS(cast("object", value), where, parts) if isinstance(value, Mapping) else _plain(value, where, parts)


def _unknown_price(value: object, where: str, parts: Parts) -> object:
    return _PRICE(cast("object", value), where, parts) if isinstance(value, Mapping) else value


_STORED: Mapping[str, Setting] = {"store": _store, "on_store_error": _plain}


@cache
def layer_kinds() -> Mapping[str, LayerKind]:
    """The layers that a file may name, by ``type``."""
    return {
        "Budget": LayerKind(
            Budget,
            {
                "limits": _several(_SPEND_LIMIT),
                **_plain_settings("mode", "image_tokens", "output_tokens", "name", "lease", "thresholds"),
                "unknown": _unknown_price,
                "bound": _imported,
                "on_threshold": _imported,
                **_STORED,
            },
            spread="limits",
        ),
        "Cache": LayerKind(
            Cache,
            {
                **_plain_settings("ttl", "tags", "ignore", "ignore_headers", "share_keys", "replay", "max_bytes"),
                "semantic": _SEMANTIC,
                **_STORED,
            },
        ),
        "CircuitBreaker": LayerKind(
            CircuitBreaker, {"policy": _CIRCUIT, **_plain_settings("max_circuits"), **_STORED}
        ),
        "Concurrency": LayerKind(
            Concurrency,
            _plain_settings("limit", "max_waiting", "max_wait", "adaptive", "min_limit", "max_limit", "max_latency"),
        ),
        "CostTracking": LayerKind(CostTracking, {}),
        "Fallback": LayerKind(
            Fallback,
            {"models": _text_or(_TARGET), "when": _errors_of, **_plain_settings("share", "mid_stream")},
        ),
        "Guardrails": LayerKind(Guardrails, {"rules": _several(_RULE), **_plain_settings("window")}),
        "Hedge": LayerKind(Hedge, _plain_settings("delay", "max_attempts", "max_extra")),
        "Hooks": LayerKind(
            Hooks,
            dict.fromkeys(("on_request", "on_retry", "on_response", "on_chunk", "on_error", "on_end"), _imported),
        ),
        "Ledger": LayerKind(Ledger, _plain_settings("store", "wait", "on_store_error")),
        "Mock": LayerKind(Mock, _plain_settings("response")),
        "RateLimit": LayerKind(
            RateLimit,
            {"limits": _several(_LIMIT), **_plain_settings("adaptive", "on_limit"), "estimate": _imported, **_STORED},
            spread="limits",
        ),
        "Retry": LayerKind(
            Retry, {**_plain_settings("max_retries", "initial", "cap"), "budget": _RETRY_BUDGET}
        ),
        "Router": LayerKind(
            Router, {"pools": _pools, **_plain_settings("strategy", "sticky"), "circuit": _CIRCUIT, **_STORED}
        ),
        "Timeout": LayerKind(Timeout, {"timeout": timeout}),
        "Tracing": LayerKind(
            Tracing,
            {
                **_plain_settings(
                    "semconv", "capture_content", "details_event", "propagate", "attempt_spans", "cache_write_key",
                    "cost_conventions", "tags", "route",
                ),
                "redact": _imported,
            },
        ),
    }  # fmt: skip


def layer_of(given: Table, where: str, parts: Parts) -> Layer:
    """Make a layer of its table: ``type``, and its settings.

    :raises ValueError: there is no such layer, or it has no such setting, or the setting makes no sense
    """
    name = text(given.get("type"), f"{where}.type")
    settings = {key: value for key, value in given.items() if key != "type"}
    place = f"{where} ({name})"
    if ":" in name:
        return _own(imported(name, f"{where}.type"), settings, place, parts)
    kind = layer_kinds().get(name)
    if kind is None:
        near = difflib.get_close_matches(name, layer_kinds(), n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(layer_kinds())}"
        raise ValueError(f"{where}.type: there is no layer {name!r}: {meant} One of yours is 'package.module:name'")
    check_keys(settings, kind.settings, place)
    values = {key: kind.settings[key](value, f"{place}.{key}", parts) for key, value in settings.items()}
    positional = cast("Sequence[object]", values.pop(kind.spread, ())) if kind.spread else ()
    return made(kind.make, place, *positional, **values)


def _own(found: object, settings: Table, place: str, parts: Parts) -> Layer:
    """A layer of the user's: a class, with its settings as keywords; or a function, which has none."""
    if isinstance(found, type):
        return cast(
            "Layer", made(found, place, **{key: _plain(value, place, parts) for key, value in settings.items()})
        )
    check_keys(settings, (), place)
    if not callable(found):
        raise ValueError(f"{place} is no layer: it must be callable as layer(call, call_next)")
    return cast("Layer", found)
