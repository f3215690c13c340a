"""A simulator on a loopback socket, served by a thread of its own, as the commands bring their own event loops."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from anyio.from_thread import start_blocking_portal

from liter.testing import Simulator

KEY_VARIABLE = "LITER_TEST_KEY"


class Served(NamedTuple):
    """A simulator and the arguments that make ``liter chat`` ask it."""

    simulator: Simulator
    arguments: list[str]


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    """The event loop that the command is told to run on."""
    name: str = request.param
    return name


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Simulator], Served]]:
    """Serve simulators until the test's end."""
    monkeypatch.setenv(KEY_VARIABLE, "sk-test")
    with start_blocking_portal() as portal, ExitStack() as stack:

        def start(simulator: Simulator) -> Served:
            server = stack.enter_context(portal.wrap_async_context_manager(simulator.serve()))
            where = ["--base-url", server.base_url, "--api-key-env", KEY_VARIABLE]
            return Served(simulator, ["-m", "openai/gpt-simulated", *where])

        yield start
