"""An answer as a list of steps: what to answer, apart from how HTTP/1.1 or HTTP/2 write it.

A whole answer is ``Head, Data, End`` with the data's length in the head; a stream is ``Head, Data, Data, ..., End``
with one ``Data`` for each event and no length. ``Wait`` may come anywhere. A fault is a change to such a list.
"""

from collections.abc import Sequence

import msgspec

SERVER_SENT = "text/event-stream; charset=utf-8"
EVENT_STREAM = "application/vnd.amazon.eventstream"


class Wait(msgspec.Struct, frozen=True):
    """Let seconds pass; ``inf`` is until the client leaves."""

    seconds: float


class Head(msgspec.Struct, frozen=True):
    """Status and headers. ``length`` is that of the body; without it the body is chunked."""

    status: int
    headers: tuple[tuple[str, str], ...]
    length: int | None = None

    @property
    def content_type(self) -> str:
        """What the body is; empty where it is not told."""
        return dict(self.headers).get("content-type", "")


class PartialHead(msgspec.Struct, frozen=True):
    """The first bytes of a head and no more. HTTP/2 sends none of it."""

    head: Head
    size: int


class Data(msgspec.Struct, frozen=True):
    """A part of the body, sent as soon as it is there."""

    data: bytes


class End(msgspec.Struct, frozen=True):
    """The body is complete, for all that HTTP knows."""


class Close(msgspec.Struct, frozen=True):
    """Close the connection with the answer where it is. On HTTP/2 the stream is reset."""


class Reset(msgspec.Struct, frozen=True):
    """Reset the connection. On HTTP/2, the stream."""


Step = Wait | Head | PartialHead | Data | End | Close | Reset


def whole_answer(status: int, headers: Sequence[tuple[str, str]], content_type: str, body: bytes) -> list[Step]:
    """Make the steps of an answer with a body of known length."""
    return [Head(status, (("content-type", content_type), *headers), len(body)), Data(body), End()]


def json_answer(headers: Sequence[tuple[str, str]], body: object) -> list[Step]:
    """Make the steps of a good answer with a body of JSON."""
    return whole_answer(200, headers, "application/json", msgspec.json.encode(body))


def stream_answer(
    headers: Sequence[tuple[str, str]], events: Sequence[bytes], content_type: str = SERVER_SENT
) -> list[Step]:
    """Make the steps of an event stream."""
    head = Head(200, (("content-type", content_type), ("cache-control", "no-cache"), *headers))
    return [head, *map(Data, events), End()]


def with_latency(steps: Sequence[Step], head: float, event: float) -> list[Step]:
    """Let seconds pass before the head, and before each event of a stream."""
    slow: list[Step] = []
    streamed = False
    for step in steps:
        if isinstance(step, Head):
            streamed = step.length is None
            seconds = head
        else:
            seconds = event if streamed and isinstance(step, Data) else 0.0
        slow += [Wait(seconds), step] if seconds else [step]
    return slow
