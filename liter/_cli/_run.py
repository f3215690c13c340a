"""Runs a command in an event loop and makes an exit code, and at most one line, of how it ended."""

import importlib.util
import os
import sys
from collections.abc import Awaitable, Callable

import anyio

from .._errors import LlmError

FAILED, MISUSED = 1, 2
# As a shell reports what SIGINT and SIGPIPE ended.
INTERRUPTED, PIPE_CLOSED = 130, 141


class CommandError(Exception):
    """The command cannot do what it was asked to. The message says why, in one line."""


class UsageError(CommandError):
    """It was asked in a wrong way."""


def run(command: Callable[[], Awaitable[None]], backend: str, *, interrupted: int = INTERRUPTED) -> int:
    """Run ``command()`` to its end and return the exit code.

    :param backend: ``"asyncio"`` or ``"trio"``
    :param interrupted: the exit code after Ctrl-C
    """
    if backend == "trio" and importlib.util.find_spec("trio") is None:
        return _fail(MISUSED, "--backend trio: trio is not installed; pip install 'liter-sdk[trio]'")
    try:
        anyio.run(command, backend=backend)
    except BaseException as raised:
        error = _innermost(raised)
        match error:
            case KeyboardInterrupt():
                return interrupted
            case BrokenPipeError():
                # Whoever read our output has gone. The interpreter would fail again when it flushes at exit.
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


def _innermost(error: BaseException) -> BaseException:
    """Take an error out of the groups around it; of several the first."""
    while isinstance(error, BaseExceptionGroup):
        interrupt = error.subgroup(KeyboardInterrupt)
        error = (interrupt or error).exceptions[0]
    return error


def _fail(code: int, message: str) -> int:
    sys.stdout.flush()
    print("liter:", " ".join(message.split()), file=sys.stderr)
    return code
