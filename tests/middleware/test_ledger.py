"""``Ledger``: a row for each attempt, on the disk before the call returns."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from liter import LlmError
from liter._contract import Call
from liter.middleware import Budget, Cache, Ledger, LedgerFailed, Retry, SpendLimit
from liter.money import Price, PriceBook
from liter.stores import LedgerRow, StoreError
from liter.testing import CloseAfterEvents, Outcome, Refuse, ScriptedHandler, Simulator, check_layer
from liter.types import Usage

from .._serving import serving

MakeCall = Callable[..., Call[object]]

HI = [{"role": "user", "content": "hi"}]
PRICES = PriceBook(version="test").with_({"openai/gpt": Price(input=1, output=1)})


class Kept:
    """A ledger in memory, which may fail."""

    def __init__(self) -> None:
        self.rows: list[LedgerRow] = []
        self.waited: list[bool] = []
        self.failing = False

    async def append(self, rows: Sequence[LedgerRow], *, wait: bool = True) -> None:
        """Keep rows."""
        if self.failing:
            raise StoreError("out of order")
        await anyio.sleep(1)
        self.rows += rows
        self.waited.append(wait)

    async def flush(self) -> None:
        """Have nothing to flush."""

    async def aclose(self) -> None:
        """Have nothing to close."""


@asynccontextmanager
async def writing(simulator: Simulator, store: object, **options: object):
    """A client with a ledger, a budget and one retry."""
    layers = [Ledger(store, **options), Budget(SpendLimit(1), prices=PRICES), Retry(max_retries=1, initial=0.1)]
    async with serving(simulator, middleware=layers) as client:
        yield client


def test_it_keeps_the_layer_contract() -> None:
    """The conformance kit finds nothing wrong."""
    check_layer(lambda: Ledger(Kept()))


@pytest.mark.anyio
async def test_each_attempt_is_a_row() -> None:
    """The refused one and the one that served, under one name, with what they used and cost; and no text."""
    store = Kept()
    async with writing(Simulator(reply="a secret", faults=[Refuse(503)]), store) as client:
        response = await client.chat(model="gpt", messages=HI, max_tokens=100, tags={"tenant": "acme"})
    refused, served = store.rows
    assert (refused.outcome, refused.status, refused.cost, refused.usage) == ("ServiceUnavailableError", 503, 0, None)
    assert (served.outcome, served.status, served.attempt) == ("ok", 200, 2)
    assert served.cost == response.usage.total_tokens * 10**6
    assert served.tokens == {
        "text_input": response.usage.prompt_tokens,
        "text_output": response.usage.completion_tokens,
    }
    assert (served.provider, served.model, served.operation) == ("openai", "gpt", "chat")
    assert served.tags == {"tenant": "acme"}
    assert served.call == refused.call
    assert served.waited > 0
    assert served.time >= refused.time + refused.seconds
    assert served.request_id == response.request_id
    assert "secret" not in repr(store.rows)


@pytest.mark.anyio
async def test_failed_cut_and_cancelled_calls_are_rows_too() -> None:
    """However it ends, what was sent is written down."""
    store = Kept()
    async with writing(Simulator(faults=[Refuse(400), CloseAfterEvents(2), None]), store) as client:
        with pytest.raises(LlmError):
            await client.chat(model="gpt", messages=HI, max_tokens=100)
        with pytest.raises(LlmError):
            async for _ in await client.chat_stream(model="gpt", messages=HI, max_tokens=100):
                pass
        async with await client.chat_stream(model="gpt", messages=HI, max_tokens=100) as stream:
            await stream.__anext__()
        with anyio.CancelScope() as scope:
            async with await client.chat_stream(model="gpt", messages=HI, max_tokens=100):
                scope.cancel()
    assert [row.outcome for row in store.rows] == ["BadRequestError", "StreamingError", "abandoned", "abandoned"]
    assert len({row.call for row in store.rows}) == 4


@pytest.mark.anyio
async def test_a_call_without_attempts_has_no_rows(make_call: MakeCall) -> None:
    """A hit in a cache costs nothing, and nothing is written."""
    store = Kept()
    layers, inner = Ledger(store), ScriptedHandler("whole")
    for _ in range(2):
        async with layers(make_call(), lambda call: Cache(ttl=60, store=None)(call, inner)):
            pass
    assert len(store.rows) == len(inner.calls)


@pytest.mark.anyio
async def test_a_ledger_that_fails_is_told_and_fails_calls_only_when_asked(
    make_call: MakeCall, caplog: pytest.LogCaptureFixture
) -> None:
    """By default calls go on; closed raises."""
    store, events = Kept(), []
    store.failing = True
    inner = ScriptedHandler(Outcome(value="whole", usage=Usage()))
    async with Ledger(store)(make_call(listeners=(events.append,)), inner):
        pass
    assert [(type(event), event.goes_on) for event in events] == [(LedgerFailed, True)]
    assert "could not be written: out of order" in caplog.text
    with pytest.raises(StoreError):
        async with Ledger(store, on_store_error="closed")(make_call(), inner):
            pass
    assert inner.open == 0


@pytest.mark.anyio
async def test_a_cancelled_call_is_written_down(make_call: MakeCall) -> None:
    """In a shield, and not waited for if one does not want to."""
    store = Kept()
    with anyio.CancelScope() as scope:
        async with Ledger(store, wait=False)(make_call(), ScriptedHandler("whole")):
            scope.cancel()
    assert len(store.rows) == 1
    assert store.waited == [False]


@pytest.mark.realtime
@pytest.mark.anyio
async def test_a_path_makes_a_file_that_sql_can_read(tmp_path: Path) -> None:
    """The row is there when the call has returned, before anything is closed."""
    path = tmp_path / "spend.db"
    async with writing(Simulator(), path) as client:
        response = await client.chat(model="gpt", messages=HI, max_tokens=100, tags={"tenant": "acme"})
        connection = sqlite3.connect(path)
        [(cost, tags, usage)] = connection.execute("SELECT cost, tags, usage FROM attempts").fetchall()
        connection.close()
    assert cost == response.usage.total_tokens * 10**6
    assert json.loads(tags) == {"tenant": "acme"}
    assert json.loads(usage)["prompt_tokens"] == response.usage.prompt_tokens


def test_wrong_options_are_refused_at_once(tmp_path: Path) -> None:
    """Each error names the field and what would be right."""
    with pytest.raises(ValueError, match="on_store_error must be"):
        Ledger(Kept(), on_store_error="ignore")
    with pytest.raises(ValueError, match="path must be a file in a directory that exists"):
        Ledger(tmp_path)
