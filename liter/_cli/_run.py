"""How a command ends: an exit code, and at most one line about what went wrong."""

import importlib.util
import os
import sys
from collections.abc import Awaitable, Callable
from typing import cast

import anyio

from .._errors import LlmError

FAILED, MISUSED = 1, 2
# As a shell reports what SIGINT and SIGPIPE ended.
INTERRUPTED, PIPE_CLOSED = 130, 141


class CommandError(Exception):
    """The command cannot do what it was asked to. The message says why, in one line."""


class UsageError(CommandError):
    """It was asked in a wrong way."""


def conclude(command: Callable[[], None]) -> int:
    """Run ``command()`` and return the exit code.

    What is foreseen to go wrong is told in one line on standard error. The rest is raised: its traceback is needed.
    """
    try:
        command()
        sys.stdout.flush()
    except BaseException as raised:
        match error := innermost(raised):
            case KeyboardInterrupt():
                return INTERRUPTED
            case BrokenPipeError():
                # Who read our output has gone. The interpreter would fail again when it flushes at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return PIPE_CLOSED
            case UsageError():
                return _fail(MISUSED, str(error))
            case CommandError():
                return _fail(FAILED, str(error))
            case LlmError():
                return _fail(FAILED, f"{type(error).__name__}: {error}")
            case _:
                raise
    return 0


def run(function: Callable[[], Awaitable[None]], backend: str) -> None:
    """Run ``await function()`` in an event loop.

    :param backend: ``"asyncio"`` or ``"trio"``
    :raises UsageError: Trio is not installed
    """
    if backend == "trio" and importlib.util.find_spec("trio") is None:
        raise UsageError("--backend trio: Trio is not installed; pip install 'liter-sdk[trio]'")
    anyio.run(function, backend=backend)


def innermost(error: BaseException) -> BaseException:
    """Take an error out of the groups around it: of several an interrupt, or else the first."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        error = (group.subgroup(KeyboardInterrupt) or group).exceptions[0]
    return error


def _fail(code: int, message: str) -> int:
    sys.stdout.flush()
    print("liter:", " ".join(message.split()), file=sys.stderr)
    return code
