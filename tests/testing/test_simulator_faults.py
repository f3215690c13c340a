"""Each fault does to the bytes what it says."""

import json
import math

import anyio
import h11
import httpcore
import pytest

from liter.testing import (
    FAULTS,
    CloseAfterEvents,
    CloseBeforeHead,
    Comments,
    ErrorEvent,
    HtmlPage,
    LineEndings,
    MalformedJson,
    Oversize,
    Refuse,
    ResetAfterEvents,
    ResetBeforeHead,
    ResetInHead,
    Simulator,
    SlowBytes,
    StallAfterEvents,
    StallBeforeHead,
    Truncate,
)

pytestmark = pytest.mark.anyio

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@pytest.fixture
def stream(chat: dict) -> dict:
    """A request for a stream of chunks."""
    return {**chat, "stream": True}


async def ask(raw_client, fault, path: str, body: object):
    """Ask one question, and check that its answer is entered under the fault's name."""
    simulator = Simulator(faults=[fault])
    async with simulator.serve_memory() as network, await raw_client.opened(network) as client:
        answer = await client.ask(path, body)
        await anyio.wait_all_tasks_blocked()
        (request,) = simulator.requests
        assert request.fault == request.outcome == type(fault).__name__
        assert simulator.in_flight == 0
    return answer


async def plain(raw_client, path: str, body: object):
    async with Simulator().serve_memory() as network, await raw_client.opened(network) as client:
        return await client.ask(path, body)


async def test_refuse(raw_client, chat: dict, message: dict) -> None:
    """A refusal has the status, the headers, and the form and codes of its provider."""
    fault = Refuse(429, retry_after=2.5, headers=(("x-should-retry", "true"),))
    answer = await ask(raw_client, fault, CHAT, chat)
    assert (answer.status, answer.headers["retry-after"], answer.headers["x-should-retry"]) == (429, "2.5", "true")
    assert answer.json["error"]["code"] == "rate_limit_exceeded"
    assert answer.headers["x-request-id"]
    answer = await ask(raw_client, Refuse(529), MESSAGES, {**message, "stream": True})
    assert (answer.status, answer.headers["content-type"]) == (529, "application/json")
    assert answer.json["error"]["type"] == "overloaded_error"
    assert answer.json["request_id"] == answer.headers["request-id"]
    answer = await ask(raw_client, Refuse(429, code="insufficient_quota"), CHAT, chat)
    assert answer.json["error"]["type"] == answer.json["error"]["code"] == "insufficient_quota"
    answer = await ask(raw_client, Refuse(418, body=b"[]"), CHAT, chat)
    assert (answer.status, answer.body) == (418, b"[]")


@pytest.mark.parametrize("status", [200, 502])
async def test_html_page(raw_client, stream: dict, status: int) -> None:
    """A page of HTML comes with the status asked for."""
    answer = await ask(raw_client, HtmlPage(status), CHAT, stream)
    assert (answer.status, answer.headers["content-type"]) == (status, "text/html")
    assert answer.body.startswith(b"<html>")


@pytest.mark.parametrize("fault", [ResetBeforeHead(), CloseBeforeHead()])
async def test_an_end_before_the_head(raw_client, chat: dict, fault) -> None:
    """Not a byte comes; a reset is an error of the network, a close an end of stream."""
    answer = await ask(raw_client, fault, CHAT, chat)
    assert answer.raw == b""
    expected = httpcore.ReadError if isinstance(fault, ResetBeforeHead) else h11.RemoteProtocolError
    assert isinstance(answer.error, expected)


async def test_a_reset_in_the_head(raw_client, chat: dict) -> None:
    """Exactly so many bytes of the head come."""
    answer = await ask(raw_client, ResetInHead(size=12), CHAT, chat)
    assert answer.raw == b"HTTP/1.1 200"
    assert isinstance(answer.error, httpcore.ReadError)


@pytest.mark.parametrize(
    ("fault", "complete", "error"),
    [
        (ResetAfterEvents(2), False, httpcore.ReadError),
        (CloseAfterEvents(2), False, h11.RemoteProtocolError),
        (Truncate(2), True, None),
    ],
)
async def test_a_stream_that_breaks_off(raw_client, stream: dict, chat: dict, fault, complete, error) -> None:
    """So many events come whole, or half of a whole body, then the answer ends as its fault says."""
    expected = await plain(raw_client, CHAT, stream)
    answer = await ask(raw_client, fault, CHAT, stream)
    assert answer.data == expected.data[:2]
    assert answer.complete is complete
    assert error is None or isinstance(answer.error, error)

    expected = await plain(raw_client, CHAT, chat)
    answer = await ask(raw_client, fault, CHAT, chat)
    assert answer.body == expected.body[: len(expected.body) // 2]
    assert answer.complete is complete
    # Truncation is hidden from HTTP, the other two are not.
    assert int(answer.headers["content-length"]) == len(answer.body if complete else expected.body)


async def test_more_events_than_there_are(raw_client, stream: dict) -> None:
    """A fault after more events than there are comes at the end: all is there but the end itself."""
    expected = await plain(raw_client, CHAT, stream)
    answer = await ask(raw_client, ResetAfterEvents(10_000), CHAT, stream)
    assert answer.data == expected.data
    assert isinstance(answer.error, httpcore.ReadError)


@pytest.mark.parametrize("fault", [StallBeforeHead(60), StallAfterEvents(2, 60)])
async def test_a_stall_that_ends(raw_client, stream: dict, fault) -> None:
    """The answer comes whole, so many seconds late."""
    expected = await plain(raw_client, CHAT, stream)
    answer = await ask(raw_client, fault, CHAT, stream)
    assert answer.body == expected.body
    assert answer.seconds == pytest.approx(60)


@pytest.mark.parametrize(("fault", "size"), [(StallBeforeHead(), 0), (StallAfterEvents(2), 2)])
async def test_a_stall_without_end(raw_client, stream: dict, fault, size: int) -> None:
    """Nothing more comes, for a day if need be; when the client leaves the request ends as such."""
    simulator = Simulator(faults=[fault])
    async with simulator.serve_memory() as network:
        async with await raw_client.opened(network) as client:
            await client.send(CHAT, stream)
            answer = await client.read(until=lambda answer: len(answer.data) == size and size > 0) if size else None
            with anyio.move_on_after(86_400) as waited:
                await client.stream.read(1)
            assert waited.cancelled_caught
            assert answer is None or len(answer.data) == size
            assert simulator.in_flight == 1
        await anyio.wait_all_tasks_blocked()
        assert simulator.requests[0].outcome == "client left"
        assert simulator.bytes_after_disconnect == 0


async def test_slow_bytes(raw_client, chat: dict) -> None:
    """The body comes in pieces, so many seconds apart."""
    simulator = Simulator(faults=[SlowBytes(size=100, seconds=1)])
    async with simulator.serve_memory() as network, await raw_client.opened(network) as client:
        await client.send(CHAT, chat)
        answer = await client.read(until=lambda answer: bool(answer.body))
        assert len(answer.body) == 100
        rest = await client.read()
        length = int(answer.headers["content-length"])
        assert len(answer.body + rest.body) == length
        assert answer.seconds + rest.seconds == pytest.approx(math.ceil(length / 100))


async def test_malformed_json(raw_client, chat: dict, stream: dict) -> None:
    """One event, or the body, is no JSON; HTTP and the other events are right."""
    answer = await ask(raw_client, MalformedJson(), CHAT, chat)
    assert answer.complete
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.body)
    expected = await plain(raw_client, CHAT, stream)
    answer = await ask(raw_client, MalformedJson(1), CHAT, stream)
    assert answer.data[1] + "}" == expected.data[1]
    assert [*answer.data[:1], *answer.data[2:]] == [*expected.data[:1], *expected.data[2:]]


async def test_oversize(raw_client, chat: dict, stream: dict) -> None:
    """One event, or the body, is as large as asked for and still says the same."""
    expected = await plain(raw_client, CHAT, chat)
    answer = await ask(raw_client, Oversize(300_000), CHAT, chat)
    assert len(answer.body) == 300_000
    assert answer.json == expected.json
    expected = await plain(raw_client, CHAT, stream)
    answer = await ask(raw_client, Oversize(300_000, events=1), CHAT, stream)
    assert len(answer.data[1]) > 299_000
    assert answer.events == expected.events


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_error_event(raw_client, chat: dict, message: dict, path: str) -> None:
    """After so many events the provider reports an error, in its form, and the stream ends."""
    request = chat if path == CHAT else message
    answer = await ask(raw_client, ErrorEvent(1), path, {**request, "stream": True})
    assert answer.complete
    first, last = answer.events
    assert "error" not in first
    assert last["error"]["type"] == ("server_error" if path == CHAT else "overloaded_error")
    assert (last.get("type") == "error") is (path == MESSAGES)
    answer = await ask(raw_client, ErrorEvent(kind="api_error"), path, request)
    assert answer.status == 500


async def test_comments(raw_client, stream: dict) -> None:
    """A comment comes before each event, and nothing else changes."""
    expected = await plain(raw_client, CHAT, stream)
    answer = await ask(raw_client, Comments("wait"), CHAT, stream)
    assert answer.body.count(b": wait\n\n") == len(expected.data)
    assert answer.data == expected.data


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
async def test_line_endings(raw_client, stream: dict, ending: str) -> None:
    """Lines end as asked for, with more blank ones between events, and nothing else changes."""
    expected = await plain(raw_client, CHAT, stream)
    answer = await ask(raw_client, LineEndings(ending, blank_lines=3), CHAT, stream)
    assert answer.body.decode().split(ending * 4) == [f"data: {data}" for data in expected.data] + [""]


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_every_fault_fits_every_answer(raw_client, chat, message, fault, streamed: bool, path: str) -> None:
    """Each of the default faults applies to whole answers, streams and refusals of both wires, and ends."""
    request = {**(chat if path == CHAT else message), "stream": streamed}
    with anyio.fail_after(3600):
        await ask(raw_client, fault, path, request)
        await ask(raw_client, fault, path, b"not JSON")


async def test_a_script(raw_client, chat: dict) -> None:
    """Faults of a script happen to one request each, in order; ``None`` and the time after it are without."""
    simulator = Simulator(faults=[Refuse(500), None, Refuse(503)])
    async with simulator.serve_memory() as network, await raw_client.opened(network) as client:
        statuses = [(await client.ask(CHAT, chat)).status for _ in range(5)]
    assert statuses == [500, 200, 503, 200, 200]
    assert [request.fault for request in simulator.requests] == ["Refuse", None, "Refuse", None, None]


async def test_random_faults_come_again(raw_client, chat: dict) -> None:
    """A seed decides which requests fail, and how; about as many as the rate says."""

    async def statuses(seed: int) -> list[int | None]:
        simulator = Simulator(seed=seed, fault_rate=0.3, fault_kinds=[Refuse(500), Refuse(503)])
        async with simulator.serve_memory() as network, await raw_client.opened(network) as client:
            return [(await client.ask(CHAT, chat)).status for _ in range(60)]

    first = await statuses(1)
    assert first == await statuses(1) != await statuses(2)
    assert set(first) == {200, 500, 503}
    assert 8 <= sum(status != 200 for status in first) <= 28


@pytest.mark.parametrize("options", [{"fault_rate": 2}, {"fault_rate": -0.1}, {"fault_rate": 0.1, "fault_kinds": []}])
async def test_random_faults_need_a_share_and_kinds(options: dict) -> None:
    """A rate that is no share, or one with nothing to pick from, is refused."""
    with pytest.raises(ValueError, match="fault_"):
        Simulator(**options)
