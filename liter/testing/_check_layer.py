"""The conformance kit for layers: does one keep the contract, on both event loops, whatever happens to a call?

Every scenario runs in an event loop of its own, in virtual time, with a fresh layer, for a unary call and for
a stream. A call of the layer leads to a :class:`ScriptedHandler`, whose books show what the layer left open.
"""

import asyncio
import gc
import importlib.util
import inspect
import sys
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from types import AsyncGeneratorType
from typing import TypeVar, cast

import anyio
import anyio.lowlevel

from .._contract import Call, Layer
from .._loop import EventLoop
from ._check_layer_scenarios import SCENARIOS, Scenario, play
from ._check_layer_trial import LayerConformanceError, Options, Trial
from ._clock import VirtualTimeLoop

L = TypeVar("L", bound=Layer)


def check_layer(
    make_layer: Callable[[], L],
    *,
    call: Call[object] | None = None,
    value: object = "whole",
    events: Sequence[object] = ("one", "two", "three"),
    may_repeat: bool = False,
    may_answer: bool = False,
    may_refuse: bool = False,
    in_use: Callable[[L], int] | None = None,
) -> None:
    """Check that a layer keeps the contract, see :mod:`liter._contract`.

    Call it from a plain function: it runs event loops of its own, asyncio's and, where it is installed,
    Trio's. A check takes less than a second. The loops are in virtual time, so the layer may wait as long as
    it likes, but for timers and other tasks only, not for threads or sockets.

    It plays calls that are read to the end, left early, refused, cut off, cancelled at every checkpoint, ended
    out of order, handed to another task, and calls whose consumer raises. After each of them everything
    must be closed, in the pool, or free again. So that what is used up shows, give limits that have just room
    for two calls at once.

    Not checked: a scope that is entered and then dropped without being left, which no layer need survive, and
    asyncio's native ``Task.cancel``.

    :param make_layer: makes a fresh layer, outside of any event loop
    :param call: what to send, for layers that read the request; the kit sets ``stream``, ``started`` and ``timeouts``
    :param value: the whole reply of a unary call
    :param events: the events of a stream, two or more
    :param may_repeat: the layer may enter the next handler several times for one call: a retry, a hedge
    :param may_answer: it may reply without the next handler: a cache
    :param may_refuse: it may raise an ``LlmError`` of its own on entering: a budget, a circuit breaker
    :param in_use: how many calls the layer holds something for: permits, reservations. With it, these are
        checked to be held as long as the reply is, and to be free right after
    :raises LayerConformanceError: it does not; tells which rule is broken, and in which scenario
    :raises ValueError: a layer was given in place of what makes one, or too few events
    """
    options = Options(
        call=call,
        value=value,
        events=tuple(events),
        may_repeat=may_repeat,
        may_answer=may_answer,
        may_refuse=may_refuse,
    )
    if len(options.events) < 2:
        raise ValueError("events must be two or more, to fail and to leave between them")
    _check_maker(make_layer)
    with _only_new_garbage():
        for backend in _backends():
            for scenario in SCENARIOS:
                for streamed in (False, True):
                    if not streamed and scenario.stream_only:
                        continue
                    layer = make_layer()
                    counted = (lambda layer=layer: in_use(layer)) if in_use is not None else None
                    trial = Trial(layer, options, counted, streamed=streamed, scenario=scenario.title, backend=backend)
                    _check(trial, scenario)


def _check_maker(make_layer: Callable[[], object]) -> None:
    try:
        inspect.signature(make_layer).bind()
    except TypeError:
        name = getattr(make_layer, "__name__", None) or repr(make_layer)
        raise ValueError(
            f"check_layer takes a function that makes a fresh layer, as check_layer(lambda: {name}), and not the layer"
        ) from None
    except ValueError:
        pass  # one that does not tell its parameters


def _backends() -> tuple[str, ...]:
    if importlib.util.find_spec("trio") is not None:
        return "asyncio", "trio"
    warnings.warn("trio is not installed: check_layer checks on asyncio alone", stacklevel=3)
    return ("asyncio",)


def _check(trial: Trial, scenario: Scenario) -> None:
    lost: list[str] = []
    with _unraisable(lost), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            _run(trial.backend, lambda: _play(trial, scenario, lost))
        except LayerConformanceError:
            raise
        except (Exception, BaseExceptionGroup) as error:
            raise trial.fault(scenario.rule, "no exception but the scenario's own", repr(error)) from error
        gc.collect()
    lost += [
        str(warning.message) for warning in warned if issubclass(warning.category, ResourceWarning | RuntimeWarning)
    ]
    if lost:
        raise trial.fault(scenario.rule, "nothing that is only found by the garbage collector", "; ".join(lost))


def _run(backend: str, main: Callable[[], Coroutine[object, object, None]]) -> None:
    if backend == "asyncio":
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())
    else:
        import trio
        from trio.testing import MockClock

        trio.run(main, clock=MockClock(autojump_threshold=0))


async def _play(trial: Trial, scenario: Scenario, lost: list[str]) -> None:
    if trial.backend == "asyncio":
        asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(str(context["message"])))
    # It keeps an async generator as long as the loop runs, whoever asks for it first.
    EventLoop.current()
    before = _tasks(trial.backend)
    with _async_generators() as generators:
        await play(trial, scenario)
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    left = _tasks(trial.backend) - before
    if left > 0:
        raise trial.fault(0, "no task outlives its call", f"{left} tasks are left")
    unfinished = [generator.__qualname__ for generator in generators if generator.ag_frame is not None]
    if unfinished:
        raise trial.fault(6, "what gives events is closed with the scope", f"async generators are left: {unfinished}")


def _tasks(backend: str) -> int:
    if backend == "asyncio":
        return len(asyncio.all_tasks())
    import trio

    return trio.lowlevel.current_statistics().tasks_living


@contextmanager
def _async_generators() -> Generator[list[AsyncGeneratorType[object, object]]]:
    """Collect the async generators that are begun meanwhile; the event loop goes on to be told of them."""
    begun: list[AsyncGeneratorType[object, object]] = []
    told, _ = sys.get_asyncgen_hooks()

    def begin(generator: AsyncGenerator[object, object]) -> None:
        begun.append(cast("AsyncGeneratorType[object, object]", generator))
        if told is not None:
            told(generator)

    sys.set_asyncgen_hooks(firstiter=begin)
    try:
        yield begun
    finally:
        sys.set_asyncgen_hooks(firstiter=told)


@contextmanager
def _unraisable(lost: list[str]) -> Generator[None]:
    """Collect what finalizers raise."""
    told = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: lost.append(
        f"{unraisable.err_msg or 'in'} {unraisable.object!r}: {unraisable.exc_value!r}"
    )
    try:
        yield
    finally:
        sys.unraisablehook = told


@contextmanager
def _only_new_garbage() -> Generator[None]:
    """Let the collector look at what is made meanwhile only: a collection after each scenario then costs little."""
    gc.collect()
    frozen_by_others = gc.get_freeze_count() > 0
    if not frozen_by_others:
        gc.freeze()
    try:
        yield
    finally:
        if not frozen_by_others:
            gc.unfreeze()
