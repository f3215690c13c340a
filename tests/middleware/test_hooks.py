"""``Hooks``: when each function is called, with what, and what its exceptions do."""

from collections.abc import Callable
from random import Random

import anyio
import anyio.lowlevel
import msgspec
import pytest

from liter._contract import Call, Stack
from liter._errors import HookRejectedError, RateLimitedError, ServerError, StreamingError
from liter.middleware import Concurrency, Hooks, Retry
from liter.testing import Outcome, ScriptedHandler, check_layer
from liter.types import Usage

MakeCall = Callable[..., Call[object]]


class Other(msgspec.Struct, frozen=True):
    """A request of another type."""

    text: str


class Journal:
    """Writes down what is called; its hooks are sync or async."""

    def __init__(self, *, asynchronous: bool = False, **raises: Exception) -> None:
        self.lines: list[object] = []
        self.asynchronous = asynchronous
        self.raises = raises

    def hooks(self) -> Hooks:
        names = ("on_request", "on_retry", "on_response", "on_chunk", "on_error", "on_end")
        return Hooks(**{name: self.hook(name) for name in names})

    def hook(self, name: str) -> Callable[..., object]:
        def note(*seen: object) -> None:
            self.lines.append((name, seen[-1]) if name in ("on_chunk", "on_error") else name)
            if name in self.raises:
                raise self.raises[name]

        async def note_later(*seen: object) -> None:
            await anyio.lowlevel.checkpoint()
            note(*seen)

        return note_later if self.asynchronous else note


async def _later(value: object) -> object:
    await anyio.lowlevel.checkpoint()
    return value


@pytest.mark.parametrize(
    "hooks",
    [
        Hooks(),
        Journal().hooks(),
        Journal(asynchronous=True).hooks(),
        Hooks(on_chunk=lambda call, chunk: chunk),
        Hooks(on_request=lambda call: call),
        Hooks(on_end=lambda call, reply: _later(None)),
    ],
    ids=["none", "sync", "async", "chunk", "request", "async end"],
)
def test_keeps_the_contract(hooks: Hooks) -> None:
    """Hooks keep the layer contract, with any of the functions."""
    check_layer(lambda: hooks)


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_the_order_of_a_stream(make_call: MakeCall, asynchronous: bool) -> None:
    """A stream is seen as request, retries, response, its chunks, and its end."""
    journal = Journal(asynchronous=asynchronous)
    handler = ScriptedHandler(ServerError("no"), ["one", "two"])
    async with Stack([journal.hooks(), Retry()], handler)(make_call(stream=True)) as reply:
        journal.lines.append("consumer")
        assert [event async for event in reply] == ["one", "two"]
    assert journal.lines == [
        "on_request",
        "on_retry",
        "on_response",
        "consumer",
        ("on_chunk", "one"),
        ("on_chunk", "two"),
        "on_end",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_the_order_of_a_unary_call(make_call: MakeCall, asynchronous: bool) -> None:
    """A unary call has no chunks."""
    journal = Journal(asynchronous=asynchronous)
    async with journal.hooks()(make_call(), ScriptedHandler("whole")) as reply:
        assert reply.value == "whole"
        assert journal.lines == ["on_request", "on_response"]
    assert journal.lines == ["on_request", "on_response", "on_end"]


@pytest.mark.anyio
async def test_inside_retry_they_see_attempts(make_call: MakeCall) -> None:
    """Inside Retry the same hooks see each attempt, and outside each call."""
    outside, inside = Journal(), Journal()
    error = ServerError("no")
    stack = Stack([outside.hooks(), Retry(), inside.hooks()], ScriptedHandler(error, "whole"))
    async with stack(make_call()):
        pass
    assert inside.lines == ["on_request", ("on_error", error), "on_request", "on_response", "on_end"]
    assert outside.lines == ["on_request", "on_retry", "on_response", "on_end"]


@pytest.mark.anyio
@pytest.mark.parametrize("later", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("whole", [False, True], ids=["request", "call"])
async def test_on_request_changes_the_request(make_call: MakeCall, later: bool, whole: bool) -> None:
    """What on_request gives, a request or a whole call, is what goes on, and what later hooks see."""
    seen: list[Call[object]] = []

    def change(call: Call[object]) -> object:
        request = Other("changed")
        given = msgspec.structs.replace(call, request=request, tags={"by": "hook"}) if whole else request
        return _later(given) if later else given

    handler = ScriptedHandler("whole")
    hooks = Hooks(
        on_request=change,
        on_response=lambda call, reply: seen.append(call),
        on_end=lambda call, reply: seen.append(call),
    )
    call = make_call()
    async with hooks(call, handler):
        pass
    assert handler.calls[0].request == Other("changed")
    assert handler.calls[0].tags == ({"by": "hook"} if whole else {})
    assert handler.calls[0].attempts is call.attempts
    assert seen == [handler.calls[0]] * 2


@pytest.mark.anyio
async def test_on_request_that_gives_something_else_fails_the_call(make_call: MakeCall) -> None:
    """A result that is no request is a TypeError that says what would be right."""
    handler = ScriptedHandler("whole")
    with pytest.raises(TypeError, match="must return None, a Call or a request struct, not 'text'"):
        async with Hooks(on_request=lambda call: "text")(make_call(), handler):
            pass
    assert not handler.calls


@pytest.mark.anyio
async def test_on_request_refuses(make_call: MakeCall) -> None:
    """A rejection reaches the consumer as it is; nothing is sent, and on_error is told, on_end is not."""
    rejection = HookRejectedError("not today")
    journal = Journal(on_request=rejection)
    handler = ScriptedHandler("never")
    limit = Concurrency(1)
    with pytest.raises(HookRejectedError) as caught:
        async with Stack([limit, journal.hooks()], handler)(make_call()):
            pass
    assert caught.value is rejection
    assert not handler.calls
    assert limit.in_use == 0
    assert journal.lines == ["on_request", ("on_error", rejection)]


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_on_response_that_raises_fails_that_call_only(make_call: MakeCall, asynchronous: bool) -> None:
    """What on_response raises reaches the consumer as it is, all is released, and the next call works."""
    fault = ValueError("hook")
    journal = Journal(asynchronous=asynchronous, on_response=fault)
    handler = ScriptedHandler("whole")
    limit = Concurrency(1)
    stack = Stack([journal.hooks(), limit], handler)
    with pytest.raises(ValueError, match="hook") as caught:
        async with stack(make_call()):
            pass
    assert caught.value is fault
    assert (handler.open, handler.leased, limit.in_use) == (0, 0, 0)
    assert journal.lines == ["on_request", "on_response", ("on_error", fault), "on_end"]
    del journal.raises["on_response"]
    async with stack(make_call()) as reply:
        assert reply.value == "whole"


@pytest.mark.anyio
async def test_on_response_cancelled_releases_everything(make_call: MakeCall) -> None:
    """Cancelled in an async on_response, the call leaves nothing open, and its end is told."""
    ended: list[object] = []
    handler = ScriptedHandler("whole")
    hooks = Hooks(on_response=lambda call, reply: anyio.sleep_forever(), on_end=lambda call, reply: ended.append(reply))
    with anyio.move_on_after(5) as scope:
        async with hooks(make_call(), handler):
            pass
    assert scope.cancelled_caught
    assert (handler.open, handler.leased, len(ended)) == (0, 0, 1)


@pytest.mark.anyio
@pytest.mark.parametrize("later", [False, True], ids=["sync", "async"])
async def test_on_chunk_replaces_events(make_call: MakeCall, later: bool) -> None:
    """What on_chunk gives takes the event's place, and None keeps it."""

    def change(call: Call[object], chunk: object) -> object:
        given = "TWO" if chunk == "two" else None
        return _later(given) if later else given

    async with Hooks(on_chunk=change)(make_call(stream=True), ScriptedHandler(["one", "two", "three"])) as reply:
        assert [event async for event in reply] == ["one", "TWO", "three"]


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_on_chunk_that_raises_breaks_the_stream(make_call: MakeCall, asynchronous: bool) -> None:
    """What on_chunk raises comes out of the stream as it is, and the connection is closed."""
    fault = ValueError("hook")
    journal = Journal(asynchronous=asynchronous, on_chunk=fault)
    handler = ScriptedHandler(["one", "two"])
    with pytest.raises(ValueError, match="hook") as caught:
        async with journal.hooks()(make_call(stream=True), handler) as reply:
            await reply.__anext__()
    assert caught.value is fault
    assert (handler.open, handler.leased, handler.closed) == (0, 0, 1)
    assert journal.lines[2:] == [("on_chunk", "one"), ("on_error", fault), "on_end"]


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_on_retry_that_raises_fails_the_call(make_call: MakeCall, asynchronous: bool) -> None:
    """What on_retry raises reaches the consumer as it is, and no attempt follows."""
    fault = ValueError("hook")
    journal = Journal(asynchronous=asynchronous, on_retry=fault)
    handler = ScriptedHandler(ServerError("no"), "never")
    with pytest.raises(ValueError, match="hook") as caught:
        async with Stack([journal.hooks(), Retry()], handler)(make_call()):
            pass
    assert caught.value is fault
    assert (len(handler.calls), handler.leased) == (1, 0)


@pytest.mark.anyio
async def test_on_retry_is_told_the_wait(make_call: MakeCall) -> None:
    """on_retry sees which error is retried and how long the wait will be, beside the caller's own listeners."""
    seen: list[object] = []
    told: list[object] = []
    error = RateLimitedError("no", retry_after=4.0)
    hooks = Hooks(on_retry=lambda retrying: seen.append((retrying.error, retrying.wait, retrying.attempt)))
    stack = Stack([hooks, Retry(random=Random(1))], ScriptedHandler(error, "whole"))
    async with stack(make_call(listeners=(told.append,))):
        pass
    assert seen == [(error, 4.0, 1)]
    assert len(told) == 1


@pytest.mark.anyio
async def test_on_retry_is_told_of_retries_only(make_call: MakeCall) -> None:
    """Other events that layers tell the listeners are not on_retry's."""
    seen: list[object] = []
    handler = ScriptedHandler("whole")
    async with Hooks(on_retry=seen.append)(make_call(), handler):
        await handler.calls[0].notify(Other("something else"))
    assert seen == []


@pytest.mark.anyio
async def test_on_error_sees_the_refusal(make_call: MakeCall) -> None:
    """A refused call is told to on_error with the very error, and has no end to tell."""
    error = ServerError("no")
    journal = Journal()
    with pytest.raises(ServerError) as caught:
        async with journal.hooks()(make_call(), ScriptedHandler(error)):
            pass
    assert caught.value is error
    assert journal.lines == ["on_request", ("on_error", error)]


@pytest.mark.anyio
@pytest.mark.parametrize("caught_inside", [False, True])
async def test_on_error_sees_a_broken_stream(make_call: MakeCall, caught_inside: bool) -> None:
    """A stream that breaks is told to on_error, whether or not the consumer lets the error out of the block."""
    error = StreamingError("broke")
    journal = Journal()
    handler = ScriptedHandler(Outcome(events=["one"], error=error))

    async def use() -> None:
        async with journal.hooks()(make_call(stream=True), handler) as reply:
            await reply.__anext__()
            if caught_inside:
                with pytest.raises(StreamingError):
                    await reply.__anext__()
            else:
                await reply.__anext__()

    if caught_inside:
        await use()
    else:
        with pytest.raises(StreamingError):
            await use()
    assert journal.lines[2:] == [("on_chunk", "one"), ("on_error", error), "on_end"]


@pytest.mark.anyio
async def test_the_consumers_error_is_not_told(make_call: MakeCall) -> None:
    """What the consumer raises, an LlmError too, is its own: on_error is not told, on_end is."""
    journal = Journal()
    with pytest.raises(ServerError):
        async with journal.hooks()(make_call(), ScriptedHandler("whole")):
            raise ServerError("the consumer's")
    assert journal.lines == ["on_request", "on_response", "on_end"]


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["entering", "streaming"])
async def test_a_cancellation_is_no_error(make_call: MakeCall, streamed: bool) -> None:
    """A cancelled call is not told to on_error; it is told to on_end if there was a reply."""
    journal = Journal()
    outcome = Outcome(events=["one"], stalls=True) if streamed else Outcome(stalls=True)
    with anyio.move_on_after(5):
        async with journal.hooks()(make_call(stream=streamed), ScriptedHandler(outcome)) as reply:
            async for _ in reply:
                pass
    assert journal.lines == (
        ["on_request", "on_response", ("on_chunk", "one"), "on_end"] if streamed else ["on_request"]
    )


@pytest.mark.anyio
async def test_on_end_comes_after_all_is_known(make_call: MakeCall) -> None:
    """At on_end the connection is free, the usage is in, and the reply tells how it ended."""
    usage = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    handler = ScriptedHandler(Outcome(events=["one"], usage=usage))
    seen: list[object] = []
    hooks = Hooks(
        on_chunk=lambda call, chunk: None,
        on_end=lambda call, reply: seen.append((handler.leased, reply.usage, reply.finished, reply.error)),
    )
    async with hooks(make_call(stream=True), handler) as reply:
        assert [event async for event in reply] == ["one"]
    async with hooks(make_call(stream=True), handler) as reply:
        await reply.__anext__()
    assert seen == [(0, usage, True, None), (0, None, False, None)]


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("hook", ["on_error", "on_end"])
async def test_an_observer_that_raises_adds_a_note(make_call: MakeCall, hook: str, asynchronous: bool) -> None:
    """Where an exception is on its way, what on_error or on_end raises becomes a note on it."""
    error = StreamingError("broke")
    journal = Journal(asynchronous=asynchronous, **{hook: ValueError("hook")})
    handler = ScriptedHandler(Outcome(events=["one"], error=error))
    with pytest.raises(StreamingError) as caught:
        async with journal.hooks()(make_call(stream=True), handler) as reply:
            [event async for event in reply]
    assert caught.value is error
    assert error.__notes__ == [f"{hook} raised ValueError('hook')"]
    assert journal.lines[-2:] == [("on_error", error), "on_end"]
    assert handler.leased == 0


@pytest.mark.anyio
async def test_on_error_that_raises_on_entering_adds_a_note(make_call: MakeCall) -> None:
    """A refusal reaches the consumer even if on_error raises."""
    error = ServerError("no")
    journal = Journal(on_error=ValueError("hook"))
    with pytest.raises(ServerError) as caught:
        async with journal.hooks()(make_call(), ScriptedHandler(error)):
            pass
    assert caught.value is error
    assert error.__notes__ == ["on_error raised ValueError('hook')"]


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_on_end_that_raises_alone_is_raised(make_call: MakeCall, asynchronous: bool) -> None:
    """Where nothing else is on its way, what on_end raises comes out of the block, after all is released."""
    fault = ValueError("hook")
    journal = Journal(asynchronous=asynchronous, on_end=fault)
    handler = ScriptedHandler("whole")
    with pytest.raises(ValueError, match="hook") as caught:
        async with journal.hooks()(make_call(), handler):
            pass
    assert caught.value is fault
    assert (handler.open, handler.leased) == (0, 0)


@pytest.mark.anyio
async def test_both_observers_run_though_the_first_raises(make_call: MakeCall) -> None:
    """on_end runs though on_error raised, whose exception then comes out."""
    fault = ValueError("first")
    journal = Journal(on_error=fault, on_end=KeyError("second"))
    handler = ScriptedHandler(Outcome(events=["one"], error=StreamingError("broke")))
    scope = journal.hooks()(make_call(stream=True), handler)
    reply = await scope.__aenter__()
    assert await reply.__anext__() == "one"
    with pytest.raises(StreamingError):
        await reply.__anext__()
    with pytest.raises(ValueError, match="first") as caught:
        await scope.__aexit__(None, None, None)
    assert caught.value is fault
    assert fault.__notes__ == ["on_end raised KeyError('second')"]


@pytest.mark.anyio
async def test_an_async_on_end_is_shielded_with_a_bound(make_call: MakeCall) -> None:
    """In a cancelled call an async on_end still runs, for at most five seconds."""
    took: list[float] = []

    async def slow(call: Call[object], reply: object) -> None:
        began = anyio.current_time()
        try:
            await anyio.sleep(3)
            took.append(anyio.current_time() - began)
            await anyio.sleep(30)
        finally:
            took.append(anyio.current_time() - began)

    handler = ScriptedHandler(Outcome(events=["one"], stalls=True))
    with anyio.move_on_after(1) as scope:
        async with Hooks(on_end=slow)(make_call(stream=True), handler) as reply:
            async for _ in reply:
                pass
    assert scope.cancelled_caught
    assert took == [3.0, 5.0]


@pytest.mark.anyio
async def test_several_hooks_compose(make_call: MakeCall) -> None:
    """Several layers of hooks nest: the outer request first, the inner end first."""
    lines: list[str] = []
    layers = [
        Hooks(
            on_request=lambda call, name=name: lines.append(f"{name} request"),
            on_chunk=lambda call, chunk, name=name: chunk + name,
            on_end=lambda call, reply, name=name: lines.append(f"{name} end"),
        )
        for name in ("a", "b")
    ]
    async with Stack(layers, ScriptedHandler(["1", "2"]))(make_call(stream=True)) as reply:
        assert [event async for event in reply] == ["1ba", "2ba"]
    assert lines == ["a request", "b request", "b end", "a end"]


def test_the_repr_shows_the_functions() -> None:
    """The repr names the functions that are set."""

    def log(call: Call[object], reply: object) -> None: ...

    assert repr(Hooks(on_end=log)) == "Hooks(on_end=log)"
    assert repr(Hooks()) == "Hooks()"
