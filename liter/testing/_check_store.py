"""The conformance kit for stores: is each method one atomic step, are waits exact, is what is over forgotten?

Every scenario runs in an event loop of its own, with a store of its own and under keys that were never used.
"""

import asyncio
import importlib.util
import pickle
import warnings
from collections.abc import Callable, Coroutine
from functools import partial

from ..stores import Store
from ._check_store_processes import check_processes
from ._check_store_scenarios import ACCOUNT_SCENARIOS, SCENARIOS, check_room
from ._check_store_trial import StoreConformanceError, StoreTrial
from ._clock import VirtualTimeLoop


def check_store(
    make_store: Callable[[], Store],
    *,
    realtime: bool = False,
    processes: bool = False,
    max_bytes: int | None = None,
) -> None:
    """Check that a store keeps the protocol, see :class:`liter.stores.Store`.

    Call it from a plain function: it runs event loops of its own, asyncio's and, where it is installed,
    Trio's. In virtual time a check takes less than a second, on the wall clock some seven.

    It plays takings that are granted, refused, larger than the bucket, of several buckets and of one bucket twice,
    corrections, values that are replaced, run out and are swapped, money that is reserved, settled, renewed and left to
    lapse, callers that race each other as tasks and as threads, callers that are cancelled, arguments that mean
    nothing, and calls of a closed store.

    Not checked: what happens when a file is damaged or a server cannot be reached.

    :param make_store: makes a store, outside of any event loop. Those that it makes may share what they keep
    :param realtime: run on the wall clock, for a store with threads, sockets or a clock of its own
    :param processes: ``make_store`` can be pickled, and makes stores that share what they keep between processes;
        two processes at once are checked, too, and one that is killed in the middle
    :param max_bytes: the most that the store keeps, if it then drops exactly what was used the least recently:
        then that is checked, too. Give 16 KiB or more
    :raises StoreConformanceError: it does not; tells which scenario, what was expected, and what was seen
    """
    if processes and not realtime:
        raise ValueError("processes share the wall clock only: give realtime=True with processes=True")
    if max_bytes is not None and max_bytes < 16 * 1024:
        raise ValueError(f"max_bytes must be 16 KiB or more for the values of the kit, not {max_bytes}")
    backends = _backends()
    for backend in backends:
        for scenario in SCENARIOS:
            _check(StoreTrial(make_store, backend=backend, title=scenario.title, realtime=realtime), scenario.play)
        if max_bytes is not None:
            trial = StoreTrial(make_store, backend=backend, title="room is needed", realtime=realtime)
            _check(trial, partial(check_room, max_bytes=max_bytes))
    # Last, as accounts are never dropped: they would take some of the room of what is kept on one file.
    for backend in backends:
        for scenario in ACCOUNT_SCENARIOS:
            _check(StoreTrial(make_store, backend=backend, title=scenario.title, realtime=realtime), scenario.play)
    if processes:
        trial = StoreTrial(make_store, backend="asyncio", title="two processes", realtime=True)
        _check(trial, partial(check_processes, make_store=pickle.dumps(make_store)))


def _backends() -> tuple[str, ...]:
    if importlib.util.find_spec("trio") is not None:
        return "asyncio", "trio"
    warnings.warn("trio is not installed: check_store checks on asyncio alone", stacklevel=3)
    return ("asyncio",)


def _check(trial: StoreTrial, play: Callable[[StoreTrial], Coroutine[object, object, None]]) -> None:
    async def main() -> None:
        try:
            await play(trial)
        finally:
            await trial.store.aclose()

    try:
        _run(trial, main)
    except StoreConformanceError:
        raise
    except (Exception, BaseExceptionGroup) as error:
        raise trial.fault("no exception", repr(error)) from error


def _run(trial: StoreTrial, main: Callable[[], Coroutine[object, object, None]]) -> None:
    if trial.backend == "asyncio":
        with asyncio.Runner(loop_factory=None if trial.realtime else VirtualTimeLoop) as runner:
            runner.run(main())
    else:
        import trio
        from trio.testing import MockClock

        trio.run(main, clock=None if trial.realtime else MockClock(autojump_threshold=0))
