"""``liter sim``: the simulator, served until Ctrl-C."""

from contextlib import AsyncExitStack
from functools import partial

import anyio
import msgspec

from ..testing import ReceivedRequest, Simulator, SimulatorServer
from ._run import INTERRUPTED, CommandError, conclude, run

# How often to look for answered requests, in seconds: soon enough for who watches, seldom enough to cost nothing.
_LOOK = 0.05


class SimOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``liter sim`` was asked; see its help."""

    port: int
    host: str
    seed: int
    fault_rate: float
    latency: float
    backend: str


def sim(options: SimOptions) -> int:
    """Serve, and return the exit code: 0 after Ctrl-C, which is how it is meant to end."""
    code = conclude(partial(run, partial(_serve, options), options.backend))
    return 0 if code == INTERRUPTED else code


async def _serve(options: SimOptions) -> None:
    simulator = Simulator(seed=options.seed, fault_rate=options.fault_rate, latency=options.latency)
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(simulator.serve(host=options.host, port=options.port))
        except OSError as error:
            where = f"{options.host}, port {options.port}"
            raise CommandError(f"cannot serve at {where}: {error.strerror or error}") from error
        _introduce(server)
        await _log(simulator)


def _introduce(server: SimulatorServer) -> None:
    model = "gpt-simulated"
    print(
        f"""\
Simulated provider at {server.host}, port {server.port}: OpenAI's wire, Anthropic's and others, any key. Ctrl-C ends it.

  export OPENAI_BASE_URL={server.base_url} OPENAI_API_KEY=sk-any
  curl {server.base_url}/chat/completions -H 'Authorization: Bearer sk-any' -H 'Content-Type: application/json' \\
    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
  liter chat Hello -m openai/{model} --base-url {server.base_url} --api-key-env OPENAI_API_KEY
  liter chat Hello -m anthropic/claude-simulated --base-url {server.base_url} --api-key-env OPENAI_API_KEY
""",
        flush=True,
    )


async def _log(simulator: Simulator) -> None:
    """Print a line for each request when it has been answered, or has gone wrong."""
    pending: list[ReceivedRequest] = []
    seen = 0
    while True:
        await anyio.sleep(_LOOK)
        pending += simulator.requests[seen:]
        seen = len(simulator.requests)
        for request in [*pending]:
            if request.outcome != "in flight":
                pending.remove(request)
                print(
                    f"{request.method} {request.path}  {request.outcome}, {request.generated} bytes, "
                    f"connection {request.connection}",
                    flush=True,
                )
