"""``liter demo``: it tells what happened, and only that."""

import io
import re
import subprocess
import sys

import anyio
import pytest

from liter._cli import main
from liter._cli._run import conclude
from liter._cli._scenes import refused_twice
from liter._cli._stage import Stage, UnexpectedError
from liter._cli._terminal import PlainTerminal

pytestmark = pytest.mark.realtime


def test_story(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every scene plays, every claim holds, and it ends with 0."""
    assert main(["demo", "--speed", "4", "--backend", backend]) == 0
    shown = capsys.readouterr().out
    assert f"runs on {backend}" in shown
    assert len(re.findall(r"^.. \d\. ", shown, re.MULTILINE)) == 9
    assert len(re.findall(r"^  (✓|ok:) ", shown, re.MULTILINE)) == 16
    assert "StreamingError: the stream broke off" in shown
    assert "async def log(call: Call[R], call_next: Handler)" in shown
    # How many of those callers a budget lets through depends on how fast the first are done.
    assert re.search(r"^  calls +\d+, of them 5 streams$", shown, re.MULTILINE)
    assert re.search(r"^  attempts +\d+, of them 7 refused and tried again$", shown, re.MULTILINE)


def test_false_claim(capsys: pytest.CaptureFixture[str]) -> None:
    """A claim that does not hold is not told: the demonstration ends with 1 and says which one it was."""
    shown = io.StringIO()
    stage = Stage(PlainTerminal(shown, 80), seed=0, speed=1)
    assert conclude(lambda: stage.check("the sky is green", holds=False)) == 1
    assert shown.getvalue() == ""
    assert capsys.readouterr().err.startswith("liter: demo: ")
    with pytest.raises(UnexpectedError, match="the sky is green"):
        stage.check("the sky is green", holds=False)


@pytest.mark.anyio
async def test_seed() -> None:
    """The same seed gives the same waits, and another seed others."""
    first, again, other = [await _waits(seed) for seed in (1, 1, 2)]
    assert first == again != other
    assert len(first) == 2


async def _waits(seed: int) -> list[str]:
    shown = io.StringIO()
    with anyio.fail_after(10):
        await refused_twice(Stage(PlainTerminal(shown, 80), seed=seed, speed=3))
    return re.findall(r"next one in (\S+ s)", shown.getvalue())


def test_without_rich() -> None:
    """Without rich it is the same story in plain text, on a terminal too."""
    script = (
        "import sys, io; sys.modules['rich'] = None\n"
        "from liter._cli._terminal import open_terminal, PlainTerminal\n"
        "class Screen(io.StringIO):\n"
        "    def isatty(self): return True\n"
        "assert isinstance(open_terminal(Screen()), PlainTerminal)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
