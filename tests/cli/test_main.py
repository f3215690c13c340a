"""The command line itself: help, versions, mistakes."""

import subprocess
import sys
from pathlib import Path

import pytest

from liter import __version__
from liter._cli import main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """``liter --version`` tells the version."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"liter {__version__}\n"


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """``liter`` alone shows what there is."""
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in ("demo", "chat", "config", "map", "providers", "sim", "spend"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sing"], "invalid choice: 'sing'"),
        (["chat", "hi", "--timeout", "0"], "'0' is not a number above 0"),
        (["chat", "hi", "--timeout", "nan"], "'nan' is not a number above 0"),
        (["chat", "hi", "--max-tokens", "many"], "invalid int value"),
        (["chat", "hi", "--backend", "curio"], "invalid choice: 'curio'"),
        (["demo", "--speed", "1000"], "'1000' is not a number from 0.1 to 5"),
        (["sim", "--port", "65536"], "'65536' is not a port"),
        (["sim", "--port", "-1"], "not a port"),
        (["sim", "--fault-rate", "2"], "'2' is not a share from 0 to 1"),
        (["sim", "--latency", "inf"], "'inf' is not 0 or more seconds"),
    ],
)
def test_mistakes(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong argument ends with 2, and standard error says which one and why."""
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


def test_module() -> None:
    """``python -m liter`` is the same command."""
    done = subprocess.run([sys.executable, "-m", "liter", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"liter {__version__}\n"


def test_help_is_quick() -> None:
    """Help imports neither the network nor rich nor an event loop of a command."""
    script = (
        "import sys; from liter._cli import main; main(['chat', '--help']);"
        "print(sorted({'httpcore', 'h2', 'rich', 'trio', 'liter.testing'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_config_check_says_what_a_file_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The client, its keys by variable, its stores, and its layers in order; or what is wrong."""
    path = tmp_path / "liter.toml"
    path.write_text(
        '[client]\nmodel_hint = "groq"\n[keys]\ngroq = "KEY_THAT_IS_NOT_SET"\n[stores.main]\nurl = "memory:"\n'
        '[[layers]]\ntype = "Retry"\nmax_retries = 7\n[[layers]]\ntype = "RateLimit"\nstore = "main"\n'
        'limits = [{ amount = 5, unit = "requests" }]\n'
    )
    assert main(["config", "check", str(path), "--plain"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "a client whose own provider is groq" in shown
    assert "KEY_THAT_IS_NOT_SET not set" in shown
    assert shown.index("1. calls Retry(max_retries=7") < shown.index("2. attempts RateLimit(5 requests per minute")
    path.write_text("[cleint]\n")
    assert main(["config", "check", str(path)]) == 1
    assert "did you mean 'client'" in capsys.readouterr().err
    path.write_text('[client]\nhttp2 = "no"\n')
    assert main(["config", "check", str(path)]) == 1
    assert f"liter: {path}: http2 must be True or False, not 'no'" in capsys.readouterr().err
