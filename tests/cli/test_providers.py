"""``liter providers``: a list, one provider, and both as JSON."""

import json
import subprocess
import sys

import pytest

from liter._cli import main
from liter.providers import known_providers


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Every provider has a row, with its protocol and where its key comes from."""
    assert main(["providers"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    named = {row[0]: row for row in rows if row}
    assert known_providers().keys() <= named.keys()
    assert named["groq"] == ["groq", "host", "openai", "GROQ_API_KEY"]
    assert named["xinference"][-1] == "none"
    assert named["nvidia-riva"][2:5] == ["grpc", "(not", "yet)"]


def test_one_kind(capsys: pytest.CaptureFixture[str]) -> None:
    """``--kind local`` leaves those that run on the user's machine; an unknown kind fails."""
    assert main(["providers", "--kind", "local", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"ollama", "vllm", "llamacpp", "lmstudio", "localai", "llamafile"} <= {each["name"] for each in listed}
    assert all(each["local"] or each["kind"] == "local" for each in listed)
    assert main(["providers", "--kind", "imaginary"]) == 1
    assert "none is of kind 'imaginary': there are agent, " in capsys.readouterr().err


def test_one_provider(capsys: pytest.CaptureFixture[str]) -> None:
    """What is known of it, under its name or an alias, and what becomes of parameters."""
    for name in ("fireworks", "fireworks_ai"):
        assert main(["providers", name]) == 0
        shown = capsys.readouterr().out
        for known in (
            "https://api.fireworks.ai/inference/v1",
            "FIREWORKS_API_KEY or FIREWORKS_AI_API_KEY",
            "max_completion_tokens: as max_tokens",
            "fireworks_ai/...",
            "chat, ",
        ):
            assert known in shown


def test_each_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """No record has what the command cannot tell."""
    for name in known_providers():
        assert main(["providers", name]) == 0
        assert f"({name})" in capsys.readouterr().out


def test_one_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The record, its names and what can be called."""
    assert main(["providers", "together_ai", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["name"] == "together"
    assert "together_ai" in told["aliases"]
    assert told["spoken"] is True
    assert {"chat", "list_models", "embed"} <= set(told["calls"])


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    """It fails, with what was probably meant."""
    assert main(["providers", "antropic"]) == 1
    assert "did you mean 'anthropic'?" in capsys.readouterr().err


def test_a_reader_that_leaves() -> None:
    """A pipe that is closed early, as by ``head``, is no error."""
    command = [sys.executable, "-m", "liter", "providers"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
