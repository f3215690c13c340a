"""What all tests share. Async ones run on both backends, in virtual time unless they are marked ``realtime``."""

import gc
from collections.abc import Callable

import anyio
import msgspec
import pytest
from hypothesis import settings

from liter import Call, Route
from liter.testing import VirtualTimeLoop

# A deadline for an example is one on the wall clock, which tells how busy the machine is.
settings.register_profile("liter", settings(), deadline=None)
settings.load_profile("liter")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what takes minutes, unless it is asked for."""
    if "load" not in str(config.getoption("-m")):
        for item in items:
            if item.get_closest_marker("load"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: ask for it by -m load"))


@pytest.fixture(scope="module", autouse=True)
def only_new_garbage() -> None:
    """Spare each garbage collection what was there before this file's tests.

    Many tests collect after each of their examples, to find what was left behind. Of nine thousand tests and their
    reports there is so much that going through it took 0.2 s each time, a third of the whole run.
    """
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let pytest's own last collection find what was left behind by anything."""
    gc.unfreeze()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """The event loop under test: virtual time, or the wall clock for tests marked ``realtime``."""
    name: str = request.param
    if request.node.get_closest_marker("realtime"):
        return name, {}
    if name == "asyncio":
        return name, {"loop_factory": VirtualTimeLoop}
    from trio.testing import MockClock

    return name, {"clock": MockClock(autojump_threshold=0)}


class Question(msgspec.Struct, frozen=True):
    """A request of the tests' own."""

    text: str = "?"


@pytest.fixture
def make_call() -> Callable[..., Call[object]]:
    """Makes a call that begins now; takes any field of ``Call``."""

    def make(**fields: object) -> Call[object]:
        call: Call[object] = Call(
            operation="chat",
            request=Question(),
            route=Route(provider="scripted", model="scripted", base_url="https://scripted.invalid"),
            started=anyio.current_time(),
            attempts=[],
        )
        return msgspec.structs.replace(call, **fields)

    return make
