"""``liter chat``, against a simulator on a loopback socket."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from liter._cli import main
from liter.testing import CloseAfterEvents, ModelReply, Refuse, Simulator, StallAfterEvents

from ._process import interrupt, started
from .conftest import KEY_VARIABLE, Served

pytestmark = pytest.mark.realtime

Serve = Callable[[Simulator], Served]
Captured = pytest.CaptureFixture[str]


def test_stream(serve: Serve, backend: str, capsys: Captured) -> None:
    """The answer comes as a stream, alone on standard output; tokens and how it ended are on standard error."""
    simulator, arguments = serve(Simulator(reply="To be, or not."))
    assert main(["chat", "Which?", *arguments, "--backend", backend]) == 0
    shown = capsys.readouterr()
    assert shown.out == "To be, or not.\n"
    assert shown.err.startswith("[gpt-simulated, stop, 5 + 4 tokens, ")
    asked = json.loads(simulator.requests[0].body)
    assert asked["stream"] is True
    assert asked["messages"] == [{"role": "user", "content": "Which?"}]


def test_unary(serve: Serve, backend: str, capsys: Captured) -> None:
    """With ``--no-stream`` one whole reply is asked for, and its text printed."""
    simulator, arguments = serve(Simulator(reply="To be, or not."))
    assert main(["chat", "Which?", *arguments, "--no-stream", "--backend", backend]) == 0
    assert capsys.readouterr().out == "To be, or not.\n"
    assert "stream" not in json.loads(simulator.requests[0].body)


def test_json(serve: Serve, capsys: Captured) -> None:
    """With ``--json`` the whole reply is printed, in OpenAI's form."""
    _, arguments = serve(Simulator(reply="To be."))
    assert main(["chat", "Which?", *arguments, "--json"]) == 0
    reply = json.loads(capsys.readouterr().out)
    assert reply["choices"][0]["message"]["content"] == "To be."
    assert reply["usage"]["completion_tokens"] == 2


def test_parameters(serve: Serve) -> None:
    """System text, limit and temperature go to the provider as they were given."""
    simulator, arguments = serve(Simulator())
    options = ["--system", "Be brief.", "--max-tokens", "3", "--temperature", "0.5"]
    assert main(["chat", "Which?", *arguments, *options]) == 0
    asked = json.loads(simulator.requests[0].body)
    assert asked["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (asked["max_completion_tokens"], asked["temperature"]) == (3, 0.5)


def test_anthropic(serve: Serve, capsys: Captured) -> None:
    """The model's prefix says whose wire it is."""
    simulator, arguments = serve(Simulator(reply="To be."))
    assert main(["chat", "Which?", *arguments, "-m", "anthropic/claude-simulated"]) == 0
    assert capsys.readouterr().out == "To be.\n"
    assert simulator.requests[0].path == "/v1/messages"


@pytest.mark.parametrize("how", [[], ["--no-stream"]])
def test_reasoning(serve: Serve, capsys: Captured, how: list[str]) -> None:
    """What the model thought is on standard error, on lines of its own."""
    _, arguments = serve(Simulator(reply=_think))
    model = ["-m", "anthropic/claude-simulated", "--reasoning-effort", "low"]
    assert main(["chat", "Which?", *arguments, *model, *how]) == 0
    shown = capsys.readouterr()
    assert shown.out == "To be.\n"
    assert shown.err.startswith("Hm.\n[")


def test_retried(serve: Serve, capsys: Captured) -> None:
    """A refusal that passes is not seen, but for the number of attempts."""
    _, arguments = serve(Simulator(reply="To be.", faults=[Refuse(503)]))
    assert main(["chat", "Which?", *arguments]) == 0
    shown = capsys.readouterr()
    assert shown.out == "To be.\n"
    assert ", 2 attempts, " in shown.err


def test_cut(serve: Serve, backend: str, capsys: Captured) -> None:
    """A stream that is cut ends with 1: what had come, an end of line, and one line that says so."""
    _, arguments = serve(Simulator(reply="To be, or not.", faults=[CloseAfterEvents(3)]))
    assert main(["chat", "Which?", *arguments, "--backend", backend]) == 1
    shown = capsys.readouterr()
    assert shown.out == "To be,\n"
    assert shown.err.startswith("liter: StreamingError: ")
    assert shown.err.count("\n") == 1


def test_refused(serve: Serve, backend: str, capsys: Captured) -> None:
    """A refusal for good ends with 1 and one line in the provider's words."""
    _, arguments = serve(Simulator(api_key="another"))
    assert main(["chat", "Which?", *arguments, "--backend", backend]) == 1
    told = capsys.readouterr().err
    assert told.startswith("liter: AuthenticationError: openai/gpt-simulated: Incorrect API key provided. (status 401")
    assert told.count("\n") == 1


def test_no_key(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """Without a key, the message names the variable that was looked for."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    assert main(["chat", "Which?", "-m", "anthropic/claude-sonnet-4-5"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("liter: AuthenticationError: ")
    assert "ANTHROPIC_API_KEY" in told


def test_no_key_in_the_variable_given(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """A variable that is named but not set is told by its name."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert main(["chat", "Which?", "--api-key-env", KEY_VARIABLE]) == 1
    assert KEY_VARIABLE in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--temperature", "9"], "temperature must be between 0 and 2"),
        (["--max-tokens", "0"], "max_completion_tokens must be 1 or more"),
        (["--base-url", "somewhere"], "base_url must look like"),
    ],
)
def test_mistakes(arguments: list[str], told: str, capsys: Captured) -> None:
    """A parameter that cannot be right ends with 2, and says what would be."""
    assert main(["chat", "Which?", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_empty(capsys: Captured) -> None:
    """An empty question ends with 2: nothing is sent."""
    assert main(["chat", " \n"]) == 2
    assert "the question is empty" in capsys.readouterr().err


@pytest.mark.parametrize("dash", [[], ["-"]])
def test_standard_input(serve: Serve, dash: list[str]) -> None:
    """Without a prompt, or with ``-`` for it, the question is read from a pipe."""
    simulator, arguments = serve(Simulator(reply="To be."))
    command = [sys.executable, "-m", "liter", "chat", *dash, *arguments]
    done = subprocess.run(command, input="Which?", capture_output=True, text=True, check=True)
    assert done.stdout == "To be.\n"
    assert json.loads(simulator.requests[0].body)["messages"] == [{"role": "user", "content": "Which?"}]


def test_interrupted(serve: Serve, backend: str) -> None:
    """Ctrl-C in the middle of a stream ends quietly, with 130."""
    _, arguments = serve(Simulator(reply="To be, or not.", faults=[StallAfterEvents(3)]))
    with started("chat", "Which?", *arguments, "--backend", backend) as process:
        assert process.stdout is not None
        assert process.stdout.read(6) == "To be,"
        assert interrupt(process) == (130, "")


def test_reader_gone(serve: Serve, backend: str) -> None:
    """When whoever reads the answer has gone, it ends quietly, as by SIGPIPE."""
    _, arguments = serve(Simulator(reply="To be. " * 1000, event_latency=0.005))
    with started("chat", "Which?", *arguments, "--backend", backend) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(2) == "To"
        process.stdout.close()
        assert process.wait(timeout=10) == 141
        assert process.stderr.read() == ""


def _think(request: object) -> ModelReply:
    return ModelReply("To be.", thinking="Hm.")
