"""What makes no sense is refused where it is written: the field is named, and what would be right."""

import math
from collections.abc import Callable

import pytest

from liter import LlmClient
from liter.middleware import (
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
    RateLimit,
    Retry,
    RetryBudget,
    Router,
    Rule,
    Semantic,
    SpendLimit,
    Target,
)
from liter.stores import MemoryStore, RedisStore, SqliteStore

# Settings often come out of an environment or a file, where a number is a text and a store an address.
ADDRESS = "redis://cache.example"
POOL = [Deployment("openai/gpt-4o")]


@pytest.mark.parametrize(
    "make",
    [
        lambda store: Budget(SpendLimit(1), store=store),
        lambda store: Cache(store=store),
        lambda store: CircuitBreaker(store=store),
        lambda store: RateLimit(Limit(1, "requests"), store=store),
        lambda store: Router({"pool": [Deployment("openai/gpt-4o")]}, store=store),
    ],
    ids=["Budget", "Cache", "CircuitBreaker", "RateLimit", "Router"],
)
@pytest.mark.parametrize("store", [ADDRESS, RedisStore, 5])
def test_a_store_is_no_address(make: Callable[[object], object], store: object) -> None:
    """Nor a class: each layer says what one is, and not the first call."""
    with pytest.raises(ValueError, match=r"store must be a store, as MemoryStore\(\), SqliteStore"):
        make(store)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Budget(SpendLimit(0)), "amount must be above 0 US dollars, as 0 lets no call through: name by only="),
        (lambda: Cache(semantic=0.9), r"semantic must be made as Semantic\(embed\), not 0.9"),
        (lambda: Cache(max_bytes="1000"), "max_bytes must be 1 or more, not '1000'"),
        (lambda: Cache(prices={"openai/gpt-4o": 1}), "prices must be a PriceBook, as PriceBook.default"),
        (lambda: Cache(ttl="300"), "ttl must be a positive number of seconds, not '300'"),
        (lambda: CircuitBreaker(max_circuits="9"), "max_circuits must be 1 or more, not '9'"),
        (lambda: CircuitPolicy(error_rate="0.5"), "error_rate must be above 0 and at most 1, not '0.5'"),
        (
            lambda: CircuitPolicy(max_open_seconds="9"),
            r"max_open_seconds must be open_seconds \(5.0\) or more, not '9'",
        ),
        (lambda: CircuitPolicy(min_calls=math.nan), "min_calls must be 1 or more, not nan"),
        (lambda: CircuitPolicy(open_seconds="9"), "open_seconds must be more than 0 seconds, not '9'"),
        (lambda: CircuitPolicy(probes=1.5), "probes must be 1 or more, not 1.5"),
        (lambda: CircuitPolicy(window="9"), "window must be more than 0 seconds, not '9'"),
        (lambda: CircuitBreaker(5), r"policy must be made as CircuitPolicy\(min_calls=20\), not 5"),
        (lambda: Concurrency("8"), "limit must be 1 or more calls at once, not '8'"),
        (lambda: Concurrency(1.5), "limit must be 1 or more calls at once, not 1.5"),
        (lambda: Concurrency(True), "limit must be 1 or more calls at once, not True"),
        (
            lambda: Concurrency(2, max_waiting="3"),
            "max_waiting must be 0 or more calls in line, or None for any number",
        ),
        (lambda: Concurrency(2, max_wait="3"), "max_wait must be above 0 seconds, not '3': to let none wait, use max"),
        (lambda: Concurrency(2, adaptive=True, min_limit=1.5), r"min_limit must be 1 or more, and at most limit \(2\)"),
        (lambda: Concurrency(2, adaptive=True, max_limit=9.5), r"max_limit must be limit \(2\) or more, not 9.5"),
        (lambda: Concurrency(2, adaptive=True, max_latency="1"), "max_latency must be above 0 seconds, not '1'"),
        (lambda: CostTracking(prices={"openai/gpt-4o": 1}), "prices must be a PriceBook, as PriceBook.default"),
        (lambda: Deployment(5), "model must be a model's name, as 'openai/gpt-4o-mini', not 5"),
        (lambda: Deployment("openai/gpt-4o", weight="2"), "weight must be above 0, not '2'"),
        (lambda: Fallback({"openai/a": "openai/b"}), "models must be a list of one or more models to go to"),
        (lambda: Fallback(["openai/a"], share="0.5"), "share must be above 0 and at most 1, .*, not '0.5'"),
        (lambda: Hedge(True), "delay must be 0 or more seconds, or None for the running 95th percentile, not True"),
        (lambda: Hedge(max_attempts=2.5), "max_attempts must be 2 or more, the first included, not 2.5"),
        (lambda: Hedge(max_extra="1"), "max_extra must be above 0 and at most 1 extra attempts per call, not '1'"),
        (
            lambda: Guardrails(Rule("a", action="block")),
            r'rules must be a list, such as \[Rule\("secret", action="block"',
        ),
        (lambda: Guardrails("secret"), r'rules must be a list, such as \[Rule\("secret", action="block"\)\], not'),
        (lambda: Guardrails([Rule("a", action="block")], window="64"), "window must be 1 or more characters, not '64'"),
        (lambda: Hedge("1"), "delay must be 0 or more seconds, or None for the running 95th percentile, not '1'"),
        (lambda: Hooks(on_request="log"), "on_request must be a function, sync or async, not 'log'"),
        (lambda: Ledger(5), "store must be a store"),
        (lambda: Ledger("/no/such/folder/spend.db"), "path must be a file in a directory that exists"),
        (lambda: Limit("60", "requests"), "amount must be a number of requests above 0, not '60'"),
        (lambda: Limit(True, "requests"), "amount must be a number of requests above 0, not True"),
        (lambda: MemoryStore(max_bytes="1 MB"), "max_bytes must have room for one entry of 256 bytes, not '1 MB'"),
        (
            lambda: RedisStore("redis://host", prefix=5),
            "prefix must be a text that keeps the store's keys from others'",
        ),
        (lambda: RedisStore("redis://host", timeout="2"), "timeout must be above 0 and at most 3600 seconds, not '2'"),
        (lambda: RedisStore("http://cache.example"), "url must begin with redis://, rediss:// or unix://, not 'http'"),
        (lambda: Retry(max_retries="3"), "max_retries must be 0 or more, not '3'"),
        (lambda: RetryBudget("0.2"), "ratio must be 0 or more retries per call, as 0.2, not '0.2'"),
        (lambda: RetryBudget(min_per_second="1"), "min_per_second must be 0 or more retries, not '1'"),
        (lambda: RetryBudget(window="10"), "window must be above 0 seconds, not '10'"),
        (lambda: Semantic(len, threshold="0.9"), "threshold must be above 0 and at most 1, not '0.9'"),
        (lambda: Semantic(len, entries=2.5), "entries must be 1 or more, not 2.5"),
        (lambda: Semantic(len, timeout="2"), "timeout must be a positive number of seconds, not '2'"),
        (lambda: Router([Deployment("openai/gpt-4o")]), "pools must hold at least one pool, as {'fast'"),
        (lambda: Router({5: POOL}), "pools: a pool's name is what calls give as their model, and 5 is none"),
        (lambda: Router({"a": POOL}, circuit=5), r"circuit must be made as CircuitPolicy\(min_calls=20\), not 5"),
        (lambda: Router({"a": POOL}, prices={}), r"prices must be made as PriceBook.default\(\), not {}"),
        (lambda: Router({"a": POOL}, random=5), r"random must be made as random.Random\(1\), not 5"),
        (lambda: Router({"a": POOL}, sticky=5), "sticky must be the name of a tag, not 5"),
        (lambda: SqliteStore(None), "path must be that of a file, as 'state.db', not None"),
        (lambda: SqliteStore("state.db", max_bytes="1 MB"), "max_bytes must have room .*, not '1 MB'"),
        (lambda: SqliteStore("state.db", timeout="2"), "timeout must be above 0 and at most 3600 seconds, not '2'"),
        (
            lambda: Target("a", changes=5),
            "changes must be fields of the request by name, as {'temperature': 0.0}, not 5",
        ),
        (lambda: Target("a", changes={5: 1}), "changes must be fields of the request by name"),
        (lambda: SqliteStore("/no/such/folder/state.db"), "path must be a file in a directory that exists"),
        (lambda: LlmClient(api_key="sk", middleware=Retry()), "middleware must be a list of layers, outermost first"),
    ],
)
def test_what_makes_no_sense(make: Callable[[], object], message: str) -> None:
    """A value of another kind is refused in the same words as one that is out of range."""
    with pytest.raises(ValueError, match=message):
        make()


def test_what_spends_nothing_is_named() -> None:
    """A limit of nothing shuts out what it names."""
    assert str(SpendLimit(0, only={"model": "gpt-5"})) == "0 USD in all for model=gpt-5"
