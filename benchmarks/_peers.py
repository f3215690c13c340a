"""The virtual environment that other libraries are measured in."""

import subprocess
import sys
from pathlib import Path

_REQUIREMENTS = Path(__file__).with_name("requirements-peers.txt")


def prepare(directory: Path) -> Path:
    """Make the environment, or bring it up to the requirements; give its interpreter.

    :raises subprocess.CalledProcessError: pip could not install them
    """
    python = directory / "bin" / "python"
    installed = directory / "installed-requirements.txt"
    wanted = _REQUIREMENTS.read_text()
    if not installed.exists() or installed.read_text() != wanted:
        print(f"installing the peers into {directory}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", directory], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement", _REQUIREMENTS], check=True)
        installed.write_text(wanted)
    return python


def version(python: Path, distribution: str) -> str:
    """Give the version of a distribution as that interpreter has it."""
    code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "absent"
