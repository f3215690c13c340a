"""Run the code on a page of this documentation, and compare what it prints with what the page shows.

    python docs/run.py docs/why.md [--backend trio]

The ``python`` blocks of a page run in order and in one namespace. Those that ``await`` at the top level run in an event
loop of their own, in virtual time: an hour passes in a millisecond; after a line ``<!-- wall clock -->``, in real time,
as what waits for the disk needs it. A ``text`` block right after one is what it prints.
"""

import argparse
import ast
import contextlib
import inspect
import io
import re
import sys
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

import anyio

from liter.testing import VirtualTimeLoop

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of code on a page.

    :param shown: the text block after it
    :param line: the first line of its code
    :param real: whether it runs on the wall clock
    """

    language: str
    code: str
    shown: str
    line: int
    real: bool = False


class PageError(AssertionError):
    """A block prints something else than the page shows."""


def blocks(page: Path) -> Iterator[Block]:
    """Give all fenced blocks of a page, except what other blocks print."""
    text = page.read_text(encoding="utf-8")
    for fenced in _FENCED.finditer(text):
        language, code, shown = fenced.groups(default="")
        real = text.endswith("<!-- wall clock -->\n", 0, fenced.start())
        yield Block(language, code, shown, text.count("\n", 0, fenced.start()) + 2, real)


def run_page(page: Path, backend: str) -> Iterator[tuple[Block, str]]:
    """Run a page, block by block. Gives each block, and what it printed.

    :param backend: ``"asyncio"`` or ``"trio"``, for blocks that ``await``
    """
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in blocks(page):
        if block.language == "python":
            yield block, _run(page, block, namespace, backend)


def check_page(page: Path, backend: str) -> int:
    """Run a page and return how many blocks it has.

    :raises PageError: one prints something else than the page shows
    """
    count = 0
    for block, printed in run_page(page, backend):
        count += 1
        if printed != block.shown:
            raise PageError(
                f"{page}:{block.line}: on {backend} this block prints\n{printed}\nand the page shows\n{block.shown}"
            )
    return count


def _run(page: Path, block: Block, namespace: dict[str, object], backend: str) -> str:
    # Blank lines before it, so that tracebacks name the line of the page.
    source = "\n" * (block.line - 1) + block.code
    code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if code.co_flags & inspect.CO_COROUTINE:

            async def main() -> None:
                await cast("Awaitable[object]", eval(code, namespace))  # noqa: S307 # it is the page's own code

            anyio.run(main, backend=backend, backend_options={} if block.real else _virtual_time(backend))
        else:
            exec(code, namespace)  # noqa: S102 # it is the page's own code
    return printed.getvalue()


def _virtual_time(backend: str) -> dict[str, object]:
    if backend == "asyncio":
        return {"loop_factory": VirtualTimeLoop}
    from trio.testing import MockClock

    return {"clock": MockClock(autojump_threshold=0)}


def _main() -> int:
    parser = argparse.ArgumentParser(description="Run the code on a page, and show what it prints.")
    parser.add_argument("page", type=Path)
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    arguments = parser.parse_args()
    wrong = 0
    for block, printed in run_page(arguments.page, arguments.backend):
        right = printed == block.shown
        wrong += not right
        sys.stdout.write(f"--- {arguments.page}:{block.line}{'' if right else ': not what the page shows'}\n{printed}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(_main())
