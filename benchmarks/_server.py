"""A loopback server that answers much faster than any client can ask: canned bytes, hardly any parsing.

``python _server.py --events 200 --burst 8`` prints its port and serves until its standard input closes.
A request whose body asks for a stream gets one HTTP chunk for each event, ``burst`` of them in one write,
and lets other connections have their turn between writes.
"""

import argparse
import asyncio
import re
import sys
from typing import cast

import _canned

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')
_USAGE = re.compile(rb'"include_usage": ?true')

_JSON_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_5f1c2d3e4b5a69788796a5b4c3d2e1f0\r\n"
)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"x-request-id: req_5f1c2d3e4b5a69788796a5b4c3d2e1f0\r\ntransfer-encoding: chunked\r\n\r\n"
)


class Answers:
    """Every answer, as the writes that send it."""

    def __init__(self, events: int, burst: int) -> None:
        body = _canned.unary_body()
        self.unary = [_JSON_HEAD + b"content-length: %d\r\n\r\n" % len(body) + body]
        self.stream = _writes(_canned.stream_events(events, usage=False), burst)
        self.stream_with_usage = _writes(_canned.stream_events(events, usage=True), burst)

    def to(self, body: bytes) -> list[bytes]:
        """Choose the answer to a request."""
        if not _STREAM.search(body):
            return self.unary
        return self.stream_with_usage if _USAGE.search(body) else self.stream


def _writes(events: list[bytes], burst: int) -> list[bytes]:
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    bursts = [b"".join(chunks[i : i + burst]) for i in range(0, len(chunks), burst)]
    return [_STREAM_HEAD, *bursts[:-1], bursts[-1] + b"0\r\n\r\n"]


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.received = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the base class

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        self.received += data
        head_end = self.received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = _LENGTH.search(self.received, 0, head_end)
        end = head_end + 4 + (int(length[1]) if length else 0)
        if len(self.received) < end:
            return
        body, self.received = self.received[head_end + 4 : end], self.received[end:]
        self.write(self.answers.to(body), 0)

    def write(self, writes: list[bytes], position: int) -> None:
        """Send one write; the next has to queue behind other connections."""
        if self.transport is None:
            return
        self.transport.write(writes[position])
        if position + 1 < len(writes):
            asyncio.get_running_loop().call_soon(self.write, writes, position + 1)


async def serve(events: int, burst: int) -> None:
    """Serve until standard input closes, which it does when the parent process goes."""
    loop = asyncio.get_running_loop()
    answers = Answers(events, burst)
    server = await loop.create_server(lambda: Connection(answers), "127.0.0.1", 0, backlog=1024)
    parent_gone = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), parent_gone.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await parent_gone.wait()


def main() -> None:
    """Run the server, on uvloop where there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200, help="content events of a stream")
    parser.add_argument("--burst", type=int, default=8, help="events sent in one write")
    arguments = parser.parse_args()
    try:
        from uvloop import new_event_loop
    except ImportError:
        new_event_loop = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(arguments.events, arguments.burst))


if __name__ == "__main__":
    main()
