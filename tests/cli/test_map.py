"""``liter map``, against a simulator on a loopback socket."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import pytest

from liter._cli import main
from liter.testing import CloseBeforeHead, Refuse, ResetBeforeHead, ResetInHead, Simulator, StallBeforeHead, Truncate

from ._process import interrupt, started
from .conftest import KEY_VARIABLE, Served

pytestmark = pytest.mark.realtime

Serve = Callable[[Simulator], Served]
Captured = pytest.CaptureFixture[str]
Line = dict[str, object]


def asking(names: Iterable[str], model: str = "openai/gpt-simulated") -> list[Line]:
    """A chat for each name."""
    return [
        {
            "custom_id": name,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model, "messages": [{"role": "user", "content": f"Say {name}."}], "max_tokens": 5},
        }
        for name in names
    ]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(lines: Iterable[Line], name: str = "in.jsonl") -> None:
    Path(name).write_text("".join(json.dumps(line) + "\n" for line in lines))


def read(name: str = "out.jsonl") -> dict[str, Line]:
    """The results, by custom_id: no name has two, and each line is whole."""
    text = Path(name).read_text()
    assert not text or text.endswith("\n")
    lines = [json.loads(line) for line in text.split("\n")[:-1]]
    found = {line["custom_id"]: line for line in lines}
    assert len(found) == len(lines)
    return found


def command(served: Served, *more: str) -> list[str]:
    return ["map", "in.jsonl", "-o", "out.jsonl", *served.arguments[2:], *more]


def asked(simulator: Simulator) -> list[str]:
    """What was asked, oldest first."""
    return [json.loads(request.body)["messages"][0]["content"] for request in simulator.requests]


def test_results_are_in_the_form_of_batch_files(serve: Serve, backend: str, capsys: Captured) -> None:
    """Each request has one line: an id, its custom_id, and the response with status, request id and body."""
    served = serve(Simulator(reply="To be."))
    write(asking(["a", "b", "c"]))
    assert main(command(served, "--backend", backend)) == 0
    results = read()
    assert results.keys() == {"a", "b", "c"}
    for line in results.values():
        assert line.keys() == {"id", "custom_id", "response", "error"}
        assert line["error"] is None
        response = cast("Line", line["response"])
        assert response.keys() == {"status_code", "request_id", "body"}
        assert response["status_code"] == 200
        assert response["request_id"]
        body = cast("dict[str, list[Line]]", response["body"])
        assert cast("Line", body["choices"][0]["message"])["content"] == "To be."
        assert cast("Line", body["usage"])["completion_tokens"] == 2
    assert len({line["id"] for line in results.values()}) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "3/3" in shown.err


def test_other_endpoints(serve: Serve) -> None:
    """The url says what is asked: embeddings come as numbers."""
    served = serve(Simulator())
    body = {"model": "openai/embed", "input": ["x", "y"], "dimensions": 8}
    write([{"custom_id": "e", "method": "POST", "url": "/v1/embeddings", "body": body}])
    assert main(command(served)) == 0
    data = cast("dict[str, dict[str, list[dict[str, list[float]]]]]", read()["e"]["response"])["body"]["data"]
    assert [len(one["embedding"]) for one in data] == [8, 8]


def test_a_model_for_all(serve: Serve) -> None:
    """--model takes the place of every request's own, and says whose wire it is."""
    served = serve(Simulator())
    write(asking(["a", "b"], model="gpt-anything"))
    assert main(command(served, "-m", "anthropic/claude-simulated")) == 0
    assert {request.path for request in served.simulator.requests} == {"/v1/messages"}
    assert len(read()) == 2


def test_failures_are_lines_and_are_tried_again(serve: Serve, backend: str, capsys: Captured) -> None:
    """A refusal is a response with its status and the provider's words; the next run makes that request alone."""
    served = serve(Simulator(faults=[None, Refuse(400, message="No, thanks."), None]))
    write(asking(["a", "b", "c"]))
    assert main(command(served, "--concurrency", "1", "--backend", backend)) == 1
    first = read()
    refused = cast("dict[str, dict[str, Line]]", first["b"]["response"])
    assert refused["status_code"] == 400
    assert refused["body"]["error"]["message"] == "No, thanks."
    assert first["b"]["error"] is None
    assert "1 of 3 failed" in capsys.readouterr().err
    assert main(command(served, "--backend", backend)) == 0
    assert asked(served.simulator) == ["Say a.", "Say b.", "Say c.", "Say b."]
    again = read()
    assert again["a"] == first["a"]
    assert cast("Line", again["b"]["response"])["status_code"] == 200


def test_what_has_no_answer_is_an_error(serve: Serve) -> None:
    """Without a status there is no response: the error has the class's name and what it says."""
    served = serve(Simulator(faults=[ResetBeforeHead()]))
    write(asking(["a"]))
    assert main(command(served, "--max-retries", "0")) == 1
    line = read()["a"]
    assert line["response"] is None
    assert cast("Line", line["error"])["code"] == "NetworkError"


def test_nothing_left_to_do(serve: Serve) -> None:
    """A run that is complete asks nobody, and leaves the file as it is."""
    served = serve(Simulator())
    write(asking(["a", "b"]))
    assert main(command(served)) == 0
    before = Path("out.jsonl").read_bytes()
    assert main(command(served)) == 0
    assert Path("out.jsonl").read_bytes() == before
    assert len(served.simulator.requests) == 2
    assert main(command(served, "--overwrite")) == 0
    assert len(served.simulator.requests) == 4
    assert len(read()) == 2


def test_results_can_be_put_in_the_order_of_the_requests(serve: Serve, capsys: Captured) -> None:
    """At the end of a run, those of an earlier one and those that failed among them; each line stays as it was."""
    names = [f"r{number}" for number in range(12)]
    simulator = Simulator(faults=[StallBeforeHead(seconds=0.3), None, Refuse(400, code="x")])
    write(asking(names))
    served = serve(simulator)
    assert main(command(served, "--concurrency", "4")) == 1
    as_they_came = list(read())
    assert as_they_came != names
    found = read()
    assert main(command(served, "--ordered")) == 0
    assert list(read()) == names
    failed = next(name for name in names if found[name]["response"]["status_code"] == 400)
    assert {name: line for name, line in read().items() if name != failed} == {
        name: line for name, line in found.items() if name != failed
    }
    assert len(simulator.requests) == len(names) + 1
    assert not Path("out.jsonl.part").exists()
    capsys.readouterr()
    assert main([*command(served, "--ordered"), "-o", os.devnull]) == 2
    assert f"--ordered is for a file, and {os.devnull} is none" in capsys.readouterr().err


def test_an_input_that_cannot_be_read_twice_is_refused(serve: Serve, capsys: Captured) -> None:
    """All of it is checked before the first request is made, so a pipe will not do."""
    os.mkfifo("pipe")
    assert main(["map", "pipe", *command(serve(Simulator()))[2:]]) == 2
    assert "pipe is no file, and the input is read twice" in capsys.readouterr().err


def test_a_line_that_was_cut_off_is_made_again(serve: Serve) -> None:
    """Wherever it was cut."""
    served = serve(Simulator())
    write(asking(["a", "b"]))
    assert main(command(served, "--concurrency", "1")) == 0
    whole = Path("out.jsonl").read_bytes()
    first = whole.index(b"\n") + 1
    for cut in (first + 1, len(whole) - 2, len(whole) - 1):
        Path("out.jsonl").write_bytes(whole[:cut])
        assert main(command(served)) == 0
        assert read().keys() == {"a", "b"}
        assert Path("out.jsonl").read_bytes().startswith(whole[:first])
    assert len(served.simulator.requests) == 5


def test_results_of_other_requests_are_not_taken_for_these(serve: Serve, capsys: Captured) -> None:
    """A request that has changed under its name, or is gone, is told; the file stays as it is."""
    served = serve(Simulator())
    write(asking(["a", "b"]))
    assert main(command(served)) == 0
    before = Path("out.jsonl").read_bytes()
    for lines, told in [
        (asking(["a", "b"], model="openai/gpt-5"), "was another request"),
        (asking(["c"]), "is not in"),
    ]:
        write(lines)
        assert main(command(served)) == 1
        assert told in capsys.readouterr().err
        assert Path("out.jsonl").read_bytes() == before
    Path("out.jsonl").write_text("dear diary\n")
    assert main(command(served)) == 1
    assert "out.jsonl, line 1: not a result" in capsys.readouterr().err
    assert Path("out.jsonl").read_text() == "dear diary\n"


def test_the_input_is_not_written_over(serve: Serve, capsys: Captured) -> None:
    """Whatever name it goes by; a file that is not there is told by its name."""
    served = serve(Simulator())
    write(asking(["a"]))
    before = Path("in.jsonl").read_bytes()
    Path("same.jsonl").symlink_to("in.jsonl")
    assert main(["map", "in.jsonl", "-o", "same.jsonl", "--overwrite", *served.arguments[2:]]) == 2
    assert "same.jsonl is the input" in capsys.readouterr().err
    assert Path("in.jsonl").read_bytes() == before
    assert main(["map", "nothing.jsonl", "-o", "out.jsonl"]) == 1
    assert "nothing.jsonl: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2: "),
        ('{"url": "/v1/embeddings", "body": {}}', "line 2: custom_id must be a text"),
        ('{"custom_id": "a", "url": "/v1/embeddings", "body": {}}', "line 2: custom_id 'a' stands on an earlier line"),
        ('{"custom_id": "b", "method": "GET", "url": "/v1/models", "body": {}}', "line 2: method must be POST"),
        ('{"custom_id": "b", "url": "/v1/dance", "body": {}}', "line 2: url '/v1/dance' is none of"),
        ('{"custom_id": "b", "url": "/v1/embeddings", "body": {"model": "e"}}', "line 2: 'input' is missing"),
        ('{"custom_id": "b"}', "line 2: a request has"),
    ],
)
def test_what_is_no_request_is_told_before_any_is_made(serve: Serve, capsys: Captured, line: str, told: str) -> None:
    """With its line; nothing is sent, and no output is begun."""
    served = serve(Simulator())
    write(asking(["a"]))
    with Path("in.jsonl").open("a") as file:
        file.write(line + "\n")
    assert main(command(served)) == 2
    assert told in capsys.readouterr().err
    assert served.simulator.requests == []
    assert not Path("out.jsonl").exists()


def test_a_limit_of_cost(serve: Serve, capsys: Captured) -> None:
    """No more calls are begun when it is reached, and the next run goes on."""
    served = serve(Simulator())
    write(asking("abcdef", model="openai/gpt-4o"))
    assert main(command(served, "--concurrency", "1", "--max-cost", "0.0000001")) == 1
    assert 1 <= len(read()) < 6
    assert "--max-cost 1e-07 is reached: " in capsys.readouterr().err
    assert main(command(served)) == 0
    assert len(read()) == 6
    assert len(served.simulator.requests) == 6


def test_a_limit_of_an_unknown_cost(serve: Serve, capsys: Captured) -> None:
    """What cannot be counted is not spent on."""
    served = serve(Simulator())
    write(asking("abcdef"))
    assert main(command(served, "--concurrency", "1", "--max-cost", "1")) == 1
    assert len(read()) < 6
    assert "what a call costs is unknown" in capsys.readouterr().err


def test_the_client_is_that_of_the_configuration(serve: Serve, folder: Path) -> None:
    """liter.toml of the folder above, or the file that is named; what is asked for by option wins."""
    served = serve(Simulator(faults=[Refuse(503)]))
    address = served.arguments[3]
    told = f'[client]\nbase_url = "{address}"\nmax_retries = 0\n\n[keys]\nopenai = "{KEY_VARIABLE}"\n'
    (folder / "liter.toml").write_text(told)
    (folder / "below").mkdir()
    os.chdir(folder / "below")
    write(asking(["a"]))
    run = ["map", "in.jsonl", "-o", "out.jsonl"]
    assert main(run) == 1
    assert cast("Line", read()["a"]["response"])["status_code"] == 503
    assert main(run) == 0
    (folder / "other.toml").write_text(told.replace(address, "http://127.0.0.1:1/v1"))
    write(asking(["a"]), "in.jsonl")
    assert main([*run, "--config", "../other.toml", "--overwrite"]) == 1
    assert cast("Line", read()["a"]["error"])["code"] == "NetworkError"
    assert main([*run, "--config", "../other.toml", "--base-url", address, "--api-key-env", KEY_VARIABLE]) == 0


def test_two_runs_do_not_write_to_one_file(serve: Serve, capsys: Captured) -> None:
    """The second is refused."""
    served = serve(Simulator(latency=5))
    write(asking(["a"]))
    with started(*command(served)):
        while not served.simulator.requests:
            time.sleep(0.005)
        assert main(command(served)) == 1
        assert "another process is writing to it" in capsys.readouterr().err


def test_ctrl_c_leaves_what_the_next_run_goes_on_from(serve: Serve, backend: str) -> None:
    """It ends with 130 and says so; nothing is asked twice but what was under way."""
    # Of 60 requests three are under way for good when 25 are done, however busy the machine is.
    served = serve(Simulator(faults=[None] * 25 + [StallBeforeHead()] * 3))
    write(asking(str(number) for number in range(60)))
    arguments = command(served, "--concurrency", "3", "--backend", backend)
    with started(*arguments) as process:
        _until(25)
        while len(served.simulator.requests) < 25 + 3:
            time.sleep(0.005)
        code, told = interrupt(process)
    assert code == 130
    assert told.splitlines()[-1] == "liter: stopped: 25 of 60 done; the same command goes on from there"
    assert len(read()) == 25
    assert main(arguments) == 0
    assert len(read()) == 60
    assert len(served.simulator.requests) == 60 + 3


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.load)])
def test_a_killed_run_goes_on(serve: Serve, backend: str, count: int) -> None:
    """With random faults, killed three times: each request has one result, and what was written is not asked again."""
    kinds = [Refuse(503), Refuse(429), ResetBeforeHead(), CloseBeforeHead(), ResetInHead(), Truncate()]
    served = serve(Simulator(seed=count, fault_rate=0.1, fault_kinds=kinds))
    names = [str(number) for number in range(count)]
    write(asking(names))
    arguments = command(served, "--concurrency", "16", "--max-retries", "8", "--backend", backend)
    for part in (1, 2, 3):
        with started(*arguments) as process:
            _until(count * part // 4)
            os.kill(process.pid, signal.SIGKILL)
        kept = _answered()
        assert len(kept) < count
        before = len(served.simulator.requests)
    with started(*arguments) as process:
        assert process.wait(timeout=100) in (0, 1)
    assert read().keys() == set(names)
    assert set(asked(served.simulator)[before:]).isdisjoint(f"Say {name}." for name in kept)
    assert kept.items() <= _answered().items()


def _answered() -> dict[str, str]:
    """The lines of requests that were answered, as they stand there."""
    lines = Path("out.jsonl").read_text().split("\n")[:-1]
    return {json.loads(line)["custom_id"]: line for line in lines if '"status_code":200' in line}


def _until(lines: int) -> None:
    """Wait until the output has so many lines."""
    output = Path("out.jsonl")
    while not output.exists() or output.read_bytes().count(b"\n") < lines:
        time.sleep(0.005)
