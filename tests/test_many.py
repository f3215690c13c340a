"""Many calls at once: mapped, with bounds, checkpoints and errors; and raced."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liter import BadRequestError, LlmError, NotFoundError
from liter._many._checkpoint import open_checkpoint
from liter._many._progress import MapStats
from liter._many._request import task_of
from liter.middleware import Retry
from liter.testing import FAULTS, Refuse, Simulator
from liter.types import ChatCompletionRequest, EmbeddingRequest

from ._serving import serving

pytestmark = pytest.mark.anyio


def asking(count: int) -> list[dict[str, object]]:
    """The keywords of so many chats."""
    return [{"model": "m", "messages": [{"role": "user", "content": f"number {n}"}]} for n in range(count)]


@pytest.mark.parametrize("bare", [False, True], ids=["block", "bare"])
@pytest.mark.parametrize("ordered", [False, True], ids=["as they come", "ordered"])
async def test_every_request_has_one_result(bare: bool, ordered: bool) -> None:
    """As they come, or in the order of the input; in a block, or by a bare loop; so many at a time and no more."""
    simulator = Simulator(latency=1.0)
    async with serving(simulator) as client:
        mapped = client.map(asking(25), concurrency=4, ordered=ordered)
        if bare:
            results = [result async for result in mapped]
        else:
            async with mapped:
                results = [result async for result in mapped]
    assert sorted(result.index for result in results) == list(range(25))
    if ordered:
        assert [result.index for result in results] == list(range(25))
    assert simulator.max_in_flight == 4
    assert all(result.value.text for result in results)
    assert (mapped.stats.done, mapped.stats.failed, mapped.stats.total) == (25, 0, 25)


async def test_a_slow_reader_slows_the_calls_down_and_the_input() -> None:
    """No more is taken from an endless input than there are workers for."""
    taken = 0

    def endless() -> Iterator[dict[str, object]]:
        nonlocal taken
        while True:
            taken += 1
            yield asking(1)[0]

    simulator = Simulator()
    async with serving(simulator) as client, client.map(endless(), concurrency=3) as results:
        for number in range(1, 6):
            await anext(results)
            await anyio.sleep(10)
            assert taken == number + 3
            assert simulator.in_flight == 0


async def test_order_does_not_run_ahead_without_bound() -> None:
    """One slow call holds back what may wait for it."""
    waited = anyio.Event()

    def slow_first(call: object, call_next: object) -> object:
        @asynccontextmanager
        async def layer() -> AsyncIterator[object]:
            if "number 0" in str(call.request):
                await waited.wait()
            async with call_next(call) as reply:
                yield reply

        return layer()

    async with serving(Simulator(), middleware=[slow_first]) as client:
        mapped = client.map(asking(100), concurrency=2, ordered=True)
        async with anyio.create_task_group() as tasks, mapped:
            tasks.start_soon(mapped.__anext__)
            await anyio.sleep(10)
            assert mapped.stats.done < 10
            waited.set()
            await anyio.sleep(1)
            assert mapped.stats.done >= 2
            tasks.cancel_scope.cancel()


async def test_an_error_ends_it_or_is_a_result() -> None:
    """As on_error says; a request that makes no sense is an error of the input, told with its place."""
    requests = asking(4)
    requests[2]["model"] = "no-such-model"
    async with serving(Simulator()) as client:
        with pytest.raises(NotFoundError):
            async with client.map(requests, concurrency=1) as results:
                seen = [result.index async for result in results]
                pytest.fail(f"no error after {seen}")
        told = {}
        async with client.map(requests, on_error="return") as results:
            async for result in results:
                told[result.index] = result
        assert isinstance(told[2].error, NotFoundError)
        with pytest.raises(NotFoundError):
            _ = told[2].value
        assert [told[index].error for index in (0, 1, 3)] == [None] * 3
        assert results.stats.failed == 1
        with pytest.raises(ValueError, match=r"requests\[1\]: 'messages' is missing"):
            async for _ in client.map([requests[0], {"model": "m"}], concurrency=1):
                pass


async def test_leaving_cancels_what_is_under_way() -> None:
    """A block that is left, and a bare loop that is closed."""
    simulator = Simulator(latency=5)
    async with serving(simulator) as client:
        async with client.map(asking(10), concurrency=5) as results:
            await anyio.sleep(1)
            assert simulator.in_flight == 5
            await anext(results)
            break_off = results
        await anyio.sleep(0.1)
        assert simulator.in_flight == 0
        with pytest.raises(StopAsyncIteration):
            await anext(break_off)
        bare = client.map(asking(10), concurrency=5)
        await anext(bare)
        await bare.aclose()
        await anyio.sleep(0.1)
        assert simulator.in_flight == 0
        assert simulator.connections.open <= 5


@pytest.mark.realtime
@pytest.mark.parametrize("cut", [0, 5, "torn"])
async def test_a_checkpoint_goes_on_where_it_was(tmp_path: Path, cut: object) -> None:
    """What is on the disk is not sent again; a line that was cut off is."""
    path = tmp_path / "run.jsonl"
    requests = [*asking(6), EmbeddingRequest(model="e", input="vector"), {"custom_id": "x", "body": asking(1)[0]}]
    simulator = Simulator()
    async with serving(simulator) as client:
        first = {result.index: result async for result in client.map(requests, checkpoint=path, concurrency=3)}
        lines = path.read_bytes().splitlines(keepends=True)
        assert len(lines) == len(requests)
        kept = 5 if cut in (5, "torn") else 0
        path.write_bytes(b"".join(lines[:kept]) + (lines[kept][:-7] if cut == "torn" else b""))
        done = {json.loads(line)["index"] for line in lines[:kept]}
        before = len(simulator.requests)
        second = {result.index: result async for result in client.map(requests, checkpoint=path)}
        assert len(simulator.requests) - before == len(requests) - kept
        assert {index for index, result in second.items() if result.restored} == done
        assert all(second[index].value == first[index].value for index in done)
        assert sorted(second) == list(range(len(requests)))
        assert second[6].value.array().shape == (1, 8)
        assert second[7].custom_id == "x"
        changed = [*asking(5), *requests[:1], *requests[6:]]
        with pytest.raises(ValueError, match=r"requests\[5\] is not what it was"):
            async for _ in client.map(changed, checkpoint=path, concurrency=1):
                pass


@pytest.mark.realtime
async def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    """And not written to."""
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n")
    with pytest.raises(ValueError, match="line 1 is none of a checkpoint"):
        await open_checkpoint(path)
    assert path.read_text() == "dear diary\n"


KILLED = """
import sys, anyio
from liter import LlmClient
from liter.testing import Simulator
from liter.middleware import Retry

async def main():
    async with Simulator(latency=0.001).serve_memory() as network:
        async with LlmClient(api_key="sk", network_backend=network) as client:
            requests = ({"model": "m", "messages": [{"role": "user", "content": f"number {n}"}]} for n in range(1000))
            async with client.map(requests, concurrency=20, checkpoint=sys.argv[1]) as results:
                async for result in results:
                    print(result.index, result.restored, flush=True)

anyio.run(main)
"""


def test_a_killed_run_loses_nothing_that_it_handed_out(tmp_path: Path) -> None:
    """Each result that the first run showed comes from the checkpoint in the second, and each request has one."""
    path = tmp_path / "run.jsonl"
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        shown = set()
        for line in first.stdout:
            shown.add(int(line.split()[0]))
            if len(shown) >= 100:
                break
        os.kill(first.pid, signal.SIGKILL)
        shown |= {int(line.split()[0]) for line in first.stdout if line.endswith("\n")}
    assert 100 <= len(shown) < 1000
    second = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    results = [line.split() for line in second.stdout.splitlines()]
    assert Counter(int(index) for index, _ in results) == Counter(range(1000))
    assert shown <= {int(index) for index, restored in results if restored == "True"}


@given(seed=st.integers(0, 1000), concurrency=st.integers(1, 8), ordered=st.booleans())
@settings(max_examples=15, deadline=None)
def test_each_exactly_once_under_random_faults(seed: int, concurrency: int, ordered: bool) -> None:
    """Whatever the provider does."""
    from liter.testing import VirtualTimeLoop

    async def main() -> None:
        kinds = [fault for fault in FAULTS if "Stall" not in type(fault).__name__]
        simulator = Simulator(seed=seed, fault_rate=0.3, fault_kinds=kinds)
        async with serving(simulator, middleware=[Retry(max_retries=2, initial=0.1)]) as client:
            mapped = client.map(asking(30), concurrency=concurrency, ordered=ordered, on_error="return", timeout=60)
            async with mapped:
                results = [result async for result in mapped]
        assert Counter(result.index for result in results) == Counter(range(30))
        assert all(isinstance(result.error, LlmError) or result.response is not None for result in results)

    anyio.run(main, backend="asyncio", backend_options={"loop_factory": VirtualTimeLoop})


async def test_it_tells_how_far_it_is() -> None:
    """Counts, rate, what is left, cost, failures: on one line."""
    stats = MapStats(10)
    await anyio.sleep(2)
    for number in range(5):
        stats.add(failed=number == 0, restored=False, cost=None if number == 4 else stats.cost)
    assert stats.line(bars=False) == "5/10  ############............  2.5/s  2 s left  cost unknown  1 failed"
    assert "█" in stats.line()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (5, r"requests\[3\]: give a request, or a mapping"),
        ({"body": {}, "url": "/v1/dance"}, "url '/v1/dance' is none of"),
        ({"body": 5}, "body must be an object"),
        ({"custom_id": 5, "body": {"model": "m", "messages": [{"role": "user", "content": "?"}]}}, "custom_id must be"),
        ({"model": "m", "messages": [], "stream": True}, "a stream cannot be mapped"),
        ({"model": "m", "messages": [], "temprature": 1}, "unknown parameter 'temprature': did you mean 'temperature'"),
        ({"model": "m", "messages": [], "zzz": 1}, "unknown parameter 'zzz': What a provider takes beyond these"),
    ],
)
def test_what_can_be_no_request_is_told_by_its_place(given: object, told: str) -> None:
    """With what could."""
    with pytest.raises(ValueError, match=told):
        task_of(3, given)


def test_lines_of_batch_files_are_requests() -> None:
    """By their url; what liter has no field for goes along."""
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}], "novel": 1}
    task = task_of(0, {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body})
    assert (task.custom_id, task.method) == ("a", "chat")
    assert isinstance(task.request, ChatCompletionRequest)
    assert task.request.extra_body == {"novel": 1}
    assert task_of(0, {"url": "/v1/embeddings", "body": {"model": "e", "input": "x"}}).method == "embed"
    assert task_of(0, {"url": "/v1/responses", "body": {"model": "e", "input": "x"}}).method == "create_response"


@pytest.mark.parametrize("block", [True, False])
async def test_calls_see_the_context_of_who_maps(block: bool) -> None:
    """Such as the span that is current, in a block and in a bare loop."""
    variable = ContextVar("variable", default="lost")
    seen = []

    @asynccontextmanager
    async def look(call: object, call_next: object) -> AsyncIterator[object]:
        seen.append(variable.get())
        async with call_next(call) as reply:
            yield reply

    async with serving(Simulator(), middleware=[look]) as client:
        variable.set("kept")
        results = client.map([{"model": "m", "messages": [{"role": "user", "content": "?"}]}])
        if block:
            async with results:
                assert len([result async for result in results]) == 1
        else:
            assert len([result async for result in results]) == 1
    assert seen == ["kept"]


async def test_a_race_is_won_by_the_first_good_answer() -> None:
    """A refusal does not win, the slow one is hung up on."""
    delays = {"m/fast-but-broken": 0, "m/quick": 2, "m/slow": 50}

    @asynccontextmanager
    async def slowed(call: object, call_next: object) -> AsyncIterator[object]:
        await anyio.sleep(delays[call.route.model])
        if "broken" in call.route.model:
            raise BadRequestError("broken")
        async with call_next(call) as reply:
            yield reply

    async with serving(Simulator(), middleware=[slowed]) as client:
        began = anyio.current_time()
        response = await client.race(list(delays), messages=[{"role": "user", "content": "?"}])
        assert response.model == "m/quick"
        assert anyio.current_time() - began < 5
        with pytest.raises(BadRequestError) as caught:
            await client.race(["m/fast-but-broken"], messages=[{"role": "user", "content": "?"}])
        assert "all failed: m/fast-but-broken" in caught.value.__notes__[0]
        for wrong in ("m", [], {"m"}):
            with pytest.raises(ValueError, match="give the models as a list"):
                await client.race(wrong, messages=[])
        # As it is, and not in a group: all calls have the same fault, and none is sent.
        with pytest.raises(ValueError, match="did you mean 'messages'"):
            await client.race(list(delays), mesages=[{"role": "user", "content": "?"}])


async def test_options_that_make_no_sense_are_told() -> None:
    """Before anything is asked."""
    async with serving(Simulator(faults=[Refuse(500)])) as client:
        for wrong, told in [
            ({"concurrency": 0}, "concurrency must be 1 or more"),
            ({"on_error": "ignore"}, "on_error must be"),
            ({"tag": {}}, "unknown option 'tag'"),
        ]:
            with pytest.raises(ValueError, match=told):
                client.map([], **wrong)
