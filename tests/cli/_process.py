"""The command as a process of its own, for what only a process has: signals, pipes, a fresh interpreter."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# A shell's background jobs ignore SIGINT, and so would what they start.
_HEED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
_RUN = "import sys; from liter._cli import main; sys.exit(main(sys.argv[1:]))"


@contextmanager
def started(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Start ``liter`` with these arguments; it is killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-c", _HEED + _RUN, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def interrupt(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Send it Ctrl-C, and return its exit code and what it wrote to standard error."""
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=10)
    return process.returncode, told
