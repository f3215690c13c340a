"""What makes no sense is refused where it is written: the field is named, and what would be right."""

from collections.abc import Callable

import pytest

from liter import LlmClient
from liter.middleware import (
    Budget,
    Cache,
    CircuitBreaker,
    Concurrency,
    CostTracking,
    Deployment,
    Hedge,
    Hooks,
    Ledger,
    Limit,
    RateLimit,
    Retry,
    Router,
    SpendLimit,
)
from liter.stores import RedisStore, SqliteStore

# Settings often come out of an environment or a file, where a number is a text and a store an address.
ADDRESS = "redis://cache.example"


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
        (lambda: Cache(ttl="300"), "ttl must be a positive number of seconds, not '300'"),
        (lambda: CircuitBreaker(5), r"policy must be made as CircuitPolicy\(min_calls=20\), not 5"),
        (lambda: Concurrency("8"), "limit must be 1 or more calls at once, not '8'"),
        (lambda: Concurrency(1.5), "limit must be 1 or more calls at once, not 1.5"),
        (lambda: CostTracking(prices={"openai/gpt-4o": 1}), "prices must be a PriceBook, as PriceBook.default"),
        (lambda: Hedge("1"), "delay must be 0 or more seconds, or None for the running 95th percentile, not '1'"),
        (lambda: Hooks(on_request="log"), "on_request must be a function, sync or async, not 'log'"),
        (lambda: Ledger(5), "store must be a store"),
        (lambda: Ledger("/no/such/folder/spend.db"), "path must be a file in a directory that exists"),
        (lambda: Limit("60", "requests"), "amount must be a number of requests above 0, not '60'"),
        (lambda: Limit(True, "requests"), "amount must be a number of requests above 0, not True"),
        (lambda: RedisStore("http://cache.example"), "url must begin with redis://, rediss:// or unix://, not 'http'"),
        (lambda: Retry(max_retries="3"), "max_retries must be 0 or more, not '3'"),
        (lambda: Router([Deployment("openai/gpt-4o")]), "pools must hold at least one pool, as {'fast'"),
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
