"""``liter sim``: the simulator as a process."""

import socket

import pytest

from liter._cli import main

from ._process import interrupt, started
from .conftest import KEY_VARIABLE

pytestmark = pytest.mark.realtime


def test_served(backend: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells its address, answers there, logs each request, and ends with 0 at Ctrl-C."""
    monkeypatch.setenv(KEY_VARIABLE, "sk-test")
    with started("sim", "--port", "0", "--backend", backend) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "OPENAI_BASE_URL=" in line)
        base_url = line.split("OPENAI_BASE_URL=")[1].split()[0]
        next(line for line in process.stdout if line == "\n")
        arguments = ["--base-url", base_url, "--api-key-env", KEY_VARIABLE]
        assert main(["chat", "Hello", "-m", "openai/gpt-simulated", *arguments]) == 0
        assert capsys.readouterr().out.strip()
        logged = process.stdout.readline()
        assert logged.startswith("POST /v1/chat/completions  completed, ")
        assert logged.endswith(" bytes, connection 1\n")
        assert interrupt(process) == (0, "")


def test_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Faults come at the rate that was asked for."""
    monkeypatch.setenv(KEY_VARIABLE, "sk-test")
    with started("sim", "--port", "0", "--fault-rate", "1", "--seed", "1") as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "OPENAI_BASE_URL=" in line)
        base_url = line.split("OPENAI_BASE_URL=")[1].split()[0]
        next(line for line in process.stdout if line == "\n")
        main(["chat", "Hello", "-m", "openai/x", "--base-url", base_url, "--api-key-env", KEY_VARIABLE])
        assert "  completed, " not in process.stdout.readline()


def test_port_taken(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that somebody else has ends with 1 and one line that names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["sim", "--port", str(port), "--backend", backend]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"liter: cannot serve at 127.0.0.1, port {port}: ")
    assert told.count("\n") == 1
