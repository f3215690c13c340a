"""``liter demo``: a story in nine scenes, told against simulated providers on this machine, which checks itself."""

import sys
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import msgspec

from ._run import CommandError, conclude, run
from ._scenes import layers_seen, limited, other_wire, own_layer, refused_twice
from ._scenes_money import bill
from ._scenes_streams import cut, left_early, streamed
from ._stage import Stage
from ._terminal import Column, Span, make_printable, open_terminal

SCENES: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    layers_seen,
    refused_twice,
    streamed,
    cut,
    left_early,
    limited,
    bill,
    other_wire,
    own_layer,
)

# Ten times what it takes; a demonstration that hangs is one that failed.
LIMIT = 60.0


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``liter demo`` was asked; see its help."""

    seed: int
    speed: float
    plain: bool
    backend: str


def demo(options: DemoOptions) -> int:
    """Play all scenes, and return the exit code: 0 when everything happened as told."""
    make_printable(sys.stdout)
    return conclude(partial(run, partial(_play, options), options.backend))


async def _play(options: DemoOptions) -> None:
    terminal = open_terminal(sys.stdout, plain=options.plain)
    stage = Stage(terminal, seed=options.seed, speed=options.speed)
    terminal.say([Span("liter", "bold"), Span(": one async client for every LLM provider, on Trio and asyncio.")])
    terminal.say(
        f"What follows runs on {options.backend}, against a simulated provider on this machine: real sockets, no key."
    )
    began = anyio.current_time()
    with anyio.move_on_after(LIMIT / min(options.speed, 1)) as in_time:
        for number, scene in enumerate(SCENES, 1):
            terminal.rule(f"{number}. {(scene.__doc__ or '').rstrip('.')}")
            await scene(stage)
    if in_time.cancelled_caught:
        raise CommandError(f"demo: not done after {LIMIT:g} s")
    _sum_up(stage, anyio.current_time() - began)


def _sum_up(stage: Stage, seconds: float) -> None:
    terminal, tally = stage.terminal, stage.tally
    terminal.rule("In all")
    told = f"{tally.prompt_tokens} in, {tally.completion_tokens} out"
    terminal.table(
        [Column(""), Column("")],
        [
            ["calls", f"{tally.calls}, of them {tally.streams} streams"],
            ["attempts", f"{tally.attempts}, of them {tally.refusals} refused and tried again"],
            ["tokens", f"{told}; unknown for {tally.unreported} streams that did not end"],
            ["connections", str(tally.connections)],
            ["seconds", f"{seconds:.1f}"],
        ],
    )
    terminal.say("Where to go from here:")
    terminal.table(
        [Column(""), Column("")],
        [
            [[Span('liter chat "..." -m PROVIDER/MODEL', "accent")], "a real answer, with your key"],
            [[Span("liter providers", "accent")], "who can be reached, and how"],
            [[Span("liter sim", "accent")], "this provider as a server, until Ctrl-C"],
            [[Span("liter.testing.check_layer", "accent")], "whether a layer of yours keeps the rules"],
            [[Span("docs/layers.md", "accent")], "what those rules are, and why; the layers that there are"],
            [[Span("docs/cost.md", "accent")], "bills, budgets, ledgers"],
        ],
    )
