"""Ways for an answer to go wrong. Each is a value that a :class:`Simulator` takes in its script or picks at random.

Where a fault comes after so many events, it comes at the end of a stream that has fewer, and in the middle of a body
that is no stream. On HTTP/2, what resets or closes the connection resets the request's stream.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec.structs import replace

from ..transport._eventstream import EventStreamDecoder, encode_message
from ._simulator_steps import (
    EVENT_STREAM,
    SERVER_SENT,
    Close,
    Data,
    End,
    Head,
    PartialHead,
    Reset,
    Step,
    Wait,
    whole_answer,
)
from ._wire_protocol import Refusal, Wire

# Past the opening of a stream on either wire, so that something was said before.
EVENTS = 3


class Fault(Protocol):
    """One way for an answer to go wrong."""

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        """Change the steps of an answer; ``wire`` makes errors in the provider's form."""
        ...


class Refuse(msgspec.Struct, frozen=True):
    """The request is refused, with an error in the provider's form, and nothing is done: no file of it is kept.

    :param message: by default one made from the status
    :param code: the provider's own code, as ``"insufficient_quota"``; by default the one that goes with the status
    :param retry_after: seconds for a ``retry-after`` header
    :param headers: further headers
    :param body: sent as it is, as JSON, instead of the provider's form
    """

    status: int
    message: str | None = None
    code: str | None = None
    retry_after: float | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        headers = list(self.headers)
        if self.retry_after is not None:
            headers.append(("retry-after", f"{self.retry_after:g}"))
        before, head, _ = _part_head(steps)
        message = self.message or f"The simulator refuses this request with status {self.status}."
        body = self.body
        if body is None:
            body = wire.error(Refusal(self.status, message, code=self.code), wire.request_id(head.headers))
        kept = [header for header in head.headers if header[0] not in ("content-type", "cache-control")]
        return [*before, *whole_answer(self.status, [*kept, *headers], "application/json", body)]


class HtmlPage(msgspec.Struct, frozen=True):
    """A page of HTML comes instead, as from a proxy in between, which has passed nothing on."""

    status: Literal[200, 403, 413, 502, 503, 504] = 502

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        body = f"<html><head><title>{self.status}</title></head><body><h1>{self.status}</h1></body></html>\r\n"
        return [*_part_head(steps)[0], *whole_answer(self.status, [], "text/html", body.encode())]


class ResetBeforeHead(msgspec.Struct, frozen=True):
    """The connection is reset when the request is in, before anything is answered."""

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        return [*_part_head(steps)[0], Reset()]


class CloseBeforeHead(msgspec.Struct, frozen=True):
    """The connection ends, without a reset, before anything is answered."""

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        return [*_part_head(steps)[0], Close()]


class ResetInHead(msgspec.Struct, frozen=True):
    """The connection is reset after so many bytes of the head."""

    size: int = 20

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        before, head, _ = _part_head(steps)
        return [*before, PartialHead(head, self.size), Reset()]


class ResetAfterEvents(msgspec.Struct, frozen=True):
    """The connection is reset after so many events, or in the middle of a whole body."""

    events: int = EVENTS

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        return [*_part(steps, self.events)[0], Reset()]


class Truncate(msgspec.Struct, frozen=True):
    """The answer ends after so many events, or in the middle of a whole body, and HTTP finds nothing wrong."""

    events: int = EVENTS

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        before, _ = _part(steps, self.events)
        return [*_with_length(before), End()]


class CloseAfterEvents(msgspec.Struct, frozen=True):
    """The connection ends, without a reset, after so many events or in the middle of a whole body.

    HTTP can tell that something is missing: the last chunk, or a part of ``content-length``.
    """

    events: int = EVENTS

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        return [*_part(steps, self.events)[0], Close()]


class StallBeforeHead(msgspec.Struct, frozen=True):
    """Nothing comes for some seconds, then the answer does; with ``inf``, nothing until the client leaves."""

    seconds: float = float("inf")

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        return [Wait(self.seconds), *steps]


class StallAfterEvents(msgspec.Struct, frozen=True):
    """After so many events nothing comes for some seconds, then the rest; with ``inf``, until the client leaves."""

    events: int = EVENTS
    seconds: float = float("inf")

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        before, after = _part(steps, self.events)
        return [*before, Wait(self.seconds), *after]


class SlowBytes(msgspec.Struct, frozen=True):
    """The body comes in pieces of ``size`` bytes, ``seconds`` apart. With 0 seconds only the cuts are left of it."""

    size: int = 1
    seconds: float = 0.01

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        slow: list[Step] = []
        for step in steps:
            if isinstance(step, Data):
                for start in range(0, len(step.data), self.size):
                    slow += [Wait(self.seconds), Data(step.data[start : start + self.size])]
            else:
                slow.append(step)
        return slow


class MalformedJson(msgspec.Struct, frozen=True):
    """The event after ``events`` others, or the whole body, lacks its last closing brace."""

    events: int = EVENTS

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        def spoil(data: bytes) -> bytes:
            text = data.rstrip()
            return text.removesuffix(b"}") + data[len(text) :]

        return _with_length(_change(steps, self.events, spoil))


class Oversize(msgspec.Struct, frozen=True):
    """The event after ``events`` others, or the whole body, is blown up to ``size`` bytes: still right, by blanks."""

    size: int = 64 * 1024 * 1024
    events: int = EVENTS

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        def blow_up(data: bytes) -> bytes:
            text = data.rstrip()
            return text.ljust(self.size - len(data) + len(text)) + data[len(text) :]

        return _with_length(_change(steps, self.events, blow_up))


class ErrorEvent(msgspec.Struct, frozen=True):
    """After so many events the provider reports an error and ends the stream. A whole answer is refused with 500.

    :param kind: the error's type, by default Anthropic's ``"overloaded_error"`` and OpenAI's ``"server_error"``
    """

    events: int = EVENTS
    kind: str | None = None
    message: str = "The simulator is overloaded."

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        if _part_head(steps)[1].length is not None:
            return Refuse(500, self.message, self.kind).apply(steps, wire)
        return [*_part(steps, self.events)[0], Data(wire.error_event(self.kind, self.message)), End()]


class Comments(msgspec.Struct, frozen=True):
    """A comment comes before each event, as some providers send to keep a connection alive: right, if unusual."""

    text: str = "keep-alive"

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        if not _server_sent(steps):
            return list(steps)
        comment = f": {self.text}\n\n".encode()
        return [Data(comment + step.data) if isinstance(step, Data) else step for step in steps]


class LineEndings(msgspec.Struct, frozen=True):
    """The lines of a stream end otherwise, and more of them are blank: right, if unusual."""

    ending: Literal["\n", "\r\n", "\r"] = "\r\n"
    blank_lines: int = 1

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        if not _server_sent(steps):
            return list(steps)
        ending = self.ending.encode()
        return [
            Data(step.data.replace(b"\n", ending) + ending * (self.blank_lines - 1)) if isinstance(step, Data) else step
            for step in steps
        ]


# One of each that ends by itself, for faults at random.
FAULTS: tuple[Fault, ...] = (
    Refuse(429, retry_after=1),
    Refuse(500),
    Refuse(503),
    HtmlPage(),
    ResetBeforeHead(),
    CloseBeforeHead(),
    ResetInHead(),
    ResetAfterEvents(),
    Truncate(),
    CloseAfterEvents(),
    StallBeforeHead(1),
    StallAfterEvents(seconds=1),
    SlowBytes(size=7),
    MalformedJson(),
    ErrorEvent(),
    Comments(),
    LineEndings(),
)


def _part_head(steps: Sequence[Step]) -> tuple[list[Step], Head, list[Step]]:
    """Part an answer before its head and after it."""
    for index, step in enumerate(steps):
        if isinstance(step, Head):
            return list(steps[:index]), step, list(steps[index + 1 :])
    raise ValueError("an answer without a head")


def _part(steps: Sequence[Step], events: int) -> tuple[list[Step], list[Step]]:
    """Part an answer after so many events, or in the middle of a whole body."""
    streamed = _part_head(steps)[1].length is None
    seen = 0
    for index, step in enumerate(steps):
        if isinstance(step, End) or (isinstance(step, Data) and streamed and seen == events):
            return list(steps[:index]), list(steps[index:])
        if isinstance(step, Data):
            seen += 1
            if not streamed:
                middle = len(step.data) // 2
                first, second = Data(step.data[:middle]), Data(step.data[middle:])
                return [*steps[:index], first], [second, *steps[index + 1 :]]
    return list(steps), []


def _server_sent(steps: Sequence[Step]) -> bool:
    return _part_head(steps)[1].content_type == SERVER_SENT


def _reframed(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change what a message of an AWS event stream says, and frame it anew."""

    def changed(data: bytes) -> bytes:
        [message] = EventStreamDecoder().feed(data)
        return encode_message(replace(message, payload=change(message.payload)))

    return changed


def _change(steps: Sequence[Step], events: int, change: Callable[[bytes], bytes]) -> list[Step]:
    """Change the event after so many others, or the whole body."""
    if _part_head(steps)[1].content_type == EVENT_STREAM:
        change = _reframed(change)
    changed = list(steps)
    places = [index for index, step in enumerate(steps) if isinstance(step, Data)]
    place = places[min(events, len(places) - 1)]
    step = changed[place]
    if isinstance(step, Data):
        changed[place] = Data(change(step.data))
    return changed


def _with_length(steps: Sequence[Step]) -> list[Step]:
    """Make the head's length right again."""
    length = sum(len(step.data) for step in steps if isinstance(step, Data))
    return [
        msgspec.structs.replace(step, length=length) if isinstance(step, Head) and step.length is not None else step
        for step in steps
    ]
