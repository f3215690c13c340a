"""The scripted handler does what its script says, and its books are right."""

from collections.abc import Callable

import anyio
import msgspec
import pytest

from liter._contract import Call, Route, Timeouts
from liter._errors import LlmTimeoutError, ServerError, StreamingError
from liter._http import Headers
from liter.testing import Outcome, ScriptedHandler
from liter.types import Usage


class Question(msgspec.Struct, frozen=True):
    """A request of the tests' own."""


def make_call(*, stream: bool = False, timeouts: Timeouts | None = None) -> Call[object]:
    return Call(
        operation="chat",
        request=Question(),
        route=Route(provider="scripted", model="m", base_url="https://scripted.invalid"),
        stream=stream,
        started=anyio.current_time(),
        timeouts=timeouts or Timeouts(),
        attempts=[],
    )


def books(handler: ScriptedHandler) -> tuple[int, int, int, int, int]:
    return handler.entered, handler.left, handler.leased, handler.returned, handler.closed


@pytest.mark.anyio
async def test_outcomes_follow_the_script() -> None:
    """Each entering takes the next outcome, and the last one stays."""
    refusal = ServerError("no")
    handler = ScriptedHandler(refusal, "a", ["x", "y"], Outcome(value="b"))
    with pytest.raises(ServerError) as caught:
        async with handler(make_call()):
            pass
    assert caught.value is refusal
    async with handler(make_call()) as reply:
        assert reply.value == "a"
    async with handler(make_call(stream=True)) as reply:
        assert [event async for event in reply] == ["x", "y"]
    for _ in range(2):
        async with handler(make_call()) as reply:
            assert reply.value == "b"
    assert handler.refusals == [refusal]
    assert len(handler.calls) == 5
    assert books(handler) == (4, 4, 0, 5, 0)


@pytest.mark.anyio
async def test_calling_opens_nothing() -> None:
    """A scope that is not entered uses up no outcome and no connection."""
    handler = ScriptedHandler("a")
    handler(make_call())
    assert (handler.calls, books(handler)) == ([], (0, 0, 0, 0, 0))


@pytest.mark.anyio
async def test_the_books_show_what_is_open() -> None:
    """While a scope is entered it is open and leases a connection; a stream left early closes it."""
    handler = ScriptedHandler(["x", "y"])
    async with handler(make_call(stream=True)) as reply:
        assert await reply.__anext__() == "x"
        assert (handler.open, books(handler)) == (1, (1, 0, 1, 0, 0))
    assert (handler.open, books(handler)) == (0, (1, 1, 0, 0, 1))


@pytest.mark.anyio
async def test_all_times_pass_on_the_loops_clock() -> None:
    """delay, interval and closing are seconds of virtual time."""
    outcome = Outcome(events=["x", "y", "z"], delay=2.0, interval=3.0, closing=5.0)
    began = anyio.current_time()
    times: list[float] = []
    async with ScriptedHandler(outcome)(make_call(stream=True)) as reply:
        times.append(anyio.current_time() - began)
        times += [anyio.current_time() - began async for _ in reply]
    times.append(anyio.current_time() - began)
    assert times == [2.0, 2.0, 5.0, 8.0, 13.0]


@pytest.mark.anyio
async def test_a_stream_breaks_after_its_events() -> None:
    """An error with events is raised after them, and closes the connection."""
    error = StreamingError("broke")
    handler = ScriptedHandler(Outcome(events=["x"], error=error))
    call = make_call(stream=True)
    async with handler(call) as reply:
        assert await reply.__anext__() == "x"
        with pytest.raises(StreamingError) as caught:
            await reply.__anext__()
    assert caught.value is error
    assert reply.error is error
    assert handler.refusals == []
    assert books(handler) == (1, 1, 0, 0, 1)
    assert call.attempts[0].outcome == "StreamingError"


@pytest.mark.anyio
async def test_an_error_without_an_event_is_a_refusal() -> None:
    """A stream that breaks before its first event was never entered."""
    handler = ScriptedHandler(Outcome(events=[], error=ServerError("no"), delay=1.0))
    with pytest.raises(ServerError):
        async with handler(make_call(stream=True)):
            pass
    assert handler.entered == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("timeouts", "limit"),
    [(Timeouts(first_event=3.0), "first event"), (Timeouts(total=3.0), "total")],
)
async def test_entering_keeps_to_the_calls_time(timeouts: Timeouts, limit: str) -> None:
    """What stalls on entering is ended by the call's limit, and the error names it."""
    handler = ScriptedHandler(Outcome(stalls=True))
    call = make_call(timeouts=timeouts)
    with pytest.raises(LlmTimeoutError) as caught:
        async with handler(call):
            pass
    assert (caught.value.limit, caught.value.seconds) == (limit, 3.0)
    assert anyio.current_time() - call.started == 3.0
    assert books(handler) == (0, 0, 0, 0, 1)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("timeouts", "limit", "seconds"),
    [(Timeouts(between_events=4.0), "between events", 6.0), (Timeouts(total=5.0), "total", 5.0)],
)
async def test_a_stream_keeps_to_the_calls_time(timeouts: Timeouts, limit: str, seconds: float) -> None:
    """What stalls in a stream is ended by the limit between events, or for the whole call."""
    handler = ScriptedHandler(Outcome(events=["x"], delay=2.0, stalls=True))
    call = make_call(stream=True, timeouts=timeouts)
    async with handler(call) as reply:
        assert await reply.__anext__() == "x"
        with pytest.raises(LlmTimeoutError) as caught:
            await reply.__anext__()
    assert caught.value.limit == limit
    assert anyio.current_time() - call.started == seconds


@pytest.mark.anyio
async def test_a_cancelled_scope_gives_its_connection_up() -> None:
    """Cancelled on entering or in the stream, the connection is closed, and closing itself is shielded."""
    handler = ScriptedHandler(Outcome(stalls=True), Outcome(events=["x"], stalls=True, closing=7.0))
    began = anyio.current_time()
    outcomes: list[str] = []
    for _ in range(2):
        call = make_call(stream=True)
        with anyio.move_on_after(1.0):
            async with handler(call) as reply:
                async for _ in reply:
                    pass
        outcomes.append(call.attempts[0].outcome)
    assert anyio.current_time() - began == 9.0
    assert outcomes == ["cancelled", "cancelled"]
    assert books(handler) == (1, 1, 0, 0, 2)


@pytest.mark.anyio
async def test_reply_cancel_ends_a_pending_read() -> None:
    """``reply.cancel()`` from another task ends a read that stalls; the connection is closed, not given back."""
    handler = ScriptedHandler(Outcome(events=["x"], stalls=True))
    call = make_call(stream=True)
    async with handler(call) as reply, anyio.create_task_group() as tasks:

        async def cancel() -> None:
            await anyio.sleep(3.0)
            reply.cancel()

        tasks.start_soon(cancel)
        assert [event async for event in reply] == ["x"]
        assert not reply.finished
    assert call.attempts[0].outcome == "abandoned"
    assert books(handler) == (1, 1, 0, 0, 1)


@pytest.mark.anyio
async def test_the_reply_reports_what_the_script_says() -> None:
    """Status, headers and usage come from the script; a stream's usage comes at its end."""
    usage = Usage(prompt_tokens=3, total_tokens=3)
    headers = Headers([(b"x-request-id", b"r1")])
    handler = ScriptedHandler(
        Outcome(value="a", usage=usage, status=201, headers=headers), Outcome(events=["x"], usage=usage)
    )
    async with handler(make_call()) as reply:
        assert (reply.usage, reply.status, reply.headers["X-Request-Id"]) == (usage, 201, "r1")
    async with handler(make_call(stream=True)) as reply:
        assert reply.usage is None
        assert [event async for event in reply] == ["x"]
        assert reply.usage == usage


@pytest.mark.anyio
async def test_each_entering_is_an_attempt_on_record() -> None:
    """The call's record tells number, times, status and outcome of each attempt."""
    handler = ScriptedHandler(
        Outcome(error=ServerError("no", status=500), delay=1.0), Outcome(value="a", delay=2.0), ["x", "y"]
    )
    call = make_call()
    with pytest.raises(ServerError):
        async with handler(call):
            pass
    async with handler(msgspec.structs.replace(call, attempt=2, waited=0.5)):
        pass
    async with handler(msgspec.structs.replace(call, attempt=3)) as reply:
        await reply.__anext__()
    assert [(a.number, a.waited, a.seconds, a.outcome, a.status) for a in call.attempts] == [
        (1, 0.0, 1.0, "ServerError", 500),
        (2, 0.5, 2.0, "ok", 200),
        (3, 0.0, 0.0, "abandoned", 200),
    ]


@pytest.mark.anyio
async def test_a_scope_is_entered_and_left_once() -> None:
    """Entering or leaving a scope twice is an error, and so is reading after it is left."""
    scope = ScriptedHandler(["x"])(make_call(stream=True))
    reply = await scope.__aenter__()
    with pytest.raises(RuntimeError, match="entered once"):
        await scope.__aenter__()
    await scope.__aexit__(None, None, None)
    with pytest.raises(RuntimeError, match="left once"):
        await scope.__aexit__(None, None, None)
    with pytest.raises(anyio.ClosedResourceError):
        await reply.__anext__()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Outcome(),
        lambda: Outcome(value="a", events=["x"]),
        lambda: Outcome(value="a", error=ServerError("no")),
        lambda: Outcome(value="a", stalls=True),
        lambda: ScriptedHandler(),
    ],
)
def test_a_script_that_makes_no_sense_is_refused(make: Callable[[], object]) -> None:
    """An outcome without anything to do, or with two things, is a TypeError."""
    with pytest.raises(TypeError):
        make()


@pytest.mark.anyio
async def test_the_repr_tells_its_state() -> None:
    """The repr shows how many calls there were and what is open."""
    handler = ScriptedHandler("a")
    async with handler(make_call()):
        assert repr(handler) == "<ScriptedHandler calls=1 open=1 leased=1>"
