"""What the scenes of the demonstration play on: a terminal, simulators on loopback sockets, and a tally of it all."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import NamedTuple

import msgspec

from .._client import LlmClient
from .._contract import Call, Layer
from .._reply import Reply
from ..middleware import Hooks, Retry
from ..testing import Fault, ModelReply, ReceivedRequest, Simulator
from ._run import CommandError
from ._terminal import Span, Terminal

MODEL = "openai/gpt-simulated"

# Any will do: the simulator takes them all, and nothing leaves this machine.
KEY = "sk-demo"


class UnexpectedError(CommandError):
    """Something did not happen as the demonstration tells it."""


class Tally(msgspec.Struct):
    """What all calls came to.

    :param refusals: attempts that another one followed
    :param unreported: calls whose tokens nobody knows, as their streams ended before the provider told
    """

    calls: int = 0
    streams: int = 0
    attempts: int = 0
    refusals: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unreported: int = 0
    connections: int = 0

    def enter(self, call: Call[object], reply: Reply[object]) -> None:
        """Enter a call that has ended: for ``Hooks(on_end=...)``, outside of ``Retry``."""
        self.calls += 1
        self.streams += call.stream
        self.attempts += len(call.attempts)
        self.refusals += len(call.attempts) - 1
        if reply.usage is None:
            self.unreported += 1
        else:
            self.prompt_tokens += reply.usage.prompt_tokens
            self.completion_tokens += reply.usage.completion_tokens


class Scene(NamedTuple):
    """An open scene: its provider, the address of it, and a client."""

    simulator: Simulator
    base_url: str
    client: LlmClient


class Stage:
    """Where the scenes are played.

    :param seed: of the simulators, and of the jitter in waits
    :param speed: divides every latency
    """

    def __init__(self, terminal: Terminal, *, seed: int, speed: float) -> None:
        self.terminal = terminal
        self.tally = Tally()
        self._seed = seed
        self._speed = speed

    def pace(self, seconds: float) -> float:
        """Return how long ``seconds`` are at the speed asked for."""
        return seconds / self._speed

    def retry(self) -> Retry:
        """Make the ``Retry`` of the default stack, with jitter that is the same each time."""
        return Retry(initial=self.pace(0.2), random=Random(self._seed))

    @asynccontextmanager
    async def open(
        self,
        *,
        reply: str | Callable[[ReceivedRequest], ModelReply] | None = None,
        faults: Sequence[Fault | None] = (),
        latency: float = 0.03,
        event_latency: float = 0.03,
        layers: Sequence[Layer] | None = None,
    ) -> AsyncGenerator[Scene, None]:
        """Serve a simulator on a loopback socket, with a client for it.

        :param layers: the stack, outermost first; by default a ``Retry`` alone
        """
        simulator = Simulator(
            seed=self._seed,
            reply=reply,
            faults=faults,
            latency=self.pace(latency),
            event_latency=self.pace(event_latency),
        )
        stack = [self.retry()] if layers is None else layers
        async with (
            simulator.serve() as server,
            LlmClient(
                api_key=KEY,
                api_keys={"anthropic": KEY},
                base_url=server.base_url,
                middleware=[Hooks(on_end=self.tally.enter), *stack],
                trust_environment=False,
            ) as client,
        ):
            yield Scene(simulator, server.base_url, client)
        self.tally.connections += simulator.connections.total

    def check(self, claim: str, holds: bool) -> None:
        """Tell a claim, if it holds.

        :raises UnexpectedError: it does not
        """
        self.terminal.end_flow()
        if not holds:
            raise UnexpectedError(f"demo: this should have been true, and was not: {claim}")
        mark = "✓" if self.terminal.unicode else "ok:"
        self.terminal.say([Span(mark, "good"), Span(f" {claim}")])
