"""What the conformance kit is told about a layer, and what it tells."""

import asyncio
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TypeVar

import anyio
import msgspec
import pytest

from liter._contract import Call, Handler, Layer, Route, Timeouts
from liter._errors import ServerError
from liter._reply import Reply
from liter.middleware import Retry
from liter.testing import LayerConformanceError, check_layer

from ._layers import Limits, Remembers, swallows

R = TypeVar("R")

ROUTE = Route(provider="scripted", model="scripted", base_url="https://scripted.invalid")


class Count(msgspec.Struct, frozen=True):
    to: int


def passes_on(call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
    return call_next(call)


@asynccontextmanager
async def tries_twice(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    scope = call_next(call)
    try:
        reply = await scope.__aenter__()
    except ServerError:
        scope = call_next(call)
        reply = await scope.__aenter__()
    try:
        yield reply
    finally:
        await scope.__aexit__(None, None, None)


class CountsTheEnteringOnly:
    """Says that nothing is in use as soon as a call is entered."""

    in_use = 0

    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        scope = call_next(call)
        self.in_use += 1
        try:
            reply = await scope.__aenter__()
        finally:
            self.in_use -= 1
        try:
            yield reply
        finally:
            await scope.__aexit__(None, None, None)


@asynccontextmanager
async def swallows_on_trio(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call) as reply:
        with suppress(*([] if anyio.get_cancelled_exc_class() is asyncio.CancelledError else [ValueError])):
            yield reply


@pytest.mark.parametrize(
    ("option", "make_layer", "rule"),
    [("may_answer", Remembers, 1), ("may_refuse", Limits, 0), ("may_repeat", lambda: tries_twice, 7)],
)
def test_what_a_layer_may_do_has_to_be_said(option: str, make_layer: Callable[[], Layer], rule: int) -> None:
    """Replying by itself, refusing and repeating are faults of a layer that is not said to do so."""
    check_layer(make_layer, **{option: True})
    with pytest.raises(LayerConformanceError) as caught:
        check_layer(make_layer)
    assert caught.value.rule == rule


def test_in_use_shows_what_the_next_handler_cannot() -> None:
    """A permit that is released too early shows by ``in_use`` alone."""
    check_layer(CountsTheEnteringOnly)
    with pytest.raises(LayerConformanceError, match="in_use gives 0 with a reply open"):
        check_layer(CountsTheEnteringOnly, in_use=lambda layer: layer.in_use)


def test_the_call_and_what_comes_back_are_the_users_choice() -> None:
    """A layer that reads requests, values and events is given those that it understands."""
    seen = set[object]()

    @asynccontextmanager
    async def reads(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        seen.add(call.request)
        async with call_next(call) as reply:
            if reply.streamed:
                reply.tap(seen.add)
            else:
                seen.add(reply.value)
            yield reply

    call: Call[object] = Call(operation="count", request=Count(to=2), route=ROUTE, timeouts=Timeouts(total=1.0))
    check_layer(lambda: reads, call=call, value=0, events=[1, 2])
    assert seen == {Count(to=2), 0, 1, 2}


@pytest.mark.parametrize("layer", [Retry(), passes_on])
def test_a_layer_is_not_taken_for_what_makes_one(layer: object) -> None:
    """It says what to write."""
    with pytest.raises(ValueError, match=r"as check_layer\(lambda: (Retry\(.*\)|passes_on)\), and not the layer"):
        check_layer(layer)  # type: ignore[arg-type] # the mistake


def test_one_event_is_not_enough() -> None:
    """A stream of one event cannot be left between two, so it is refused."""
    with pytest.raises(ValueError, match="two or more"):
        check_layer(lambda: passes_on, events=["one"])


def test_each_scenario_has_a_fresh_layer_made_outside_of_a_loop() -> None:
    """The layer is made where no event loop runs, and a new one for each scenario."""
    made: list[Layer] = []

    def make() -> Layer:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        made.append(Remembers())
        return made[-1]

    check_layer(make, may_answer=True)
    assert len(made) > 50


def test_the_error_tells_everything_and_pickles() -> None:
    """The error names rule, scenario, backend, what was expected and what was seen, and survives pickling."""
    with pytest.raises(LayerConformanceError) as caught:
        check_layer(lambda: swallows)
    error = caught.value
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.rule, copy.scenario, copy.backend) == (2, "the consumer raises (unary)", "asyncio")
    assert str(copy) == str(error)
    assert isinstance(error, AssertionError)
    for part in ("rule 2", "`except` only around the entering", "the consumer raises (unary), on asyncio", error.seen):
        assert part in str(error)


def test_both_event_loops_are_checked() -> None:
    """A layer that is wrong on Trio alone is rejected, and the error says where."""
    with pytest.raises(LayerConformanceError) as caught:
        check_layer(lambda: swallows_on_trio)
    assert caught.value.backend == "trio"


def test_without_trio_it_says_so() -> None:
    """Where Trio is not installed, the check goes on with asyncio alone, and a warning tells."""
    program = """
import sys
sys.modules["trio"] = None
from liter.testing import check_layer
check_layer(lambda: lambda call, call_next: call_next(call))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "trio is not installed: check_layer checks on asyncio alone" in done.stderr
