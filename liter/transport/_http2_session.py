"""What goes on over one HTTP/2 connection: bytes in, bytes out, with the h2 library as its codec. It does no I/O.

Every stream's receive window is given back when its reader comes for more. The connection's window is as large as
those of all streams together, so a slow reader never stops another one.
"""

from collections.abc import Iterable
from contextlib import suppress

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import httpcore

from .._http import Headers
from ._connection import ConnectionRetired
from ._http2_goaway import GoAway, GoAwayFilter
from ._http2_response import Http2Stream

# 50 Mbit/s at a round trip of 80 ms.
STREAM_WINDOW = 512 * 1024
# RFC 9113, 6.5.2, recommends that peers allow 100 or more.
MAX_STREAMS = 100
CONNECTION_WINDOW = MAX_STREAMS * STREAM_WINDOW


class HTTP2Session:
    """The streams that are open, and what the peer said of the connection itself."""

    __slots__ = ("_goaway", "_goaway_filter", "_h2", "_heard", "_streams")

    def __init__(self) -> None:
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self._goaway_filter = GoAwayFilter()
        self._goaway: GoAway | None = None
        self._streams: dict[int, Http2Stream] = {}
        self._heard = 0
        self._greet()

    def _greet(self) -> None:
        """Queue the preface and our settings: they go out with the first request, for no extra round trip."""
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                codes.ENABLE_PUSH: 0,
                codes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                codes.MAX_HEADER_LIST_SIZE: self._h2.DEFAULT_MAX_HEADER_LIST_SIZE,
            },
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - self._h2.inbound_flow_control_window)

    @property
    def max_streams(self) -> int:
        """How many streams there may be at a time."""
        return min(self._h2.remote_settings.max_concurrent_streams, MAX_STREAMS)

    @property
    def farewell(self) -> str | None:
        """The peer's goodbye, after which it takes no more streams."""
        return None if self._goaway is None else _described(self._goaway)

    def open(self, headers: list[tuple[bytes, bytes]], *, end: bool) -> Http2Stream:
        """Open a stream and queue the request's headers.

        :raises ConnectionRetired: the connection takes no more
        :raises httpcore.LocalProtocolError: these are no headers
        """
        try:
            stream_id = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream_id, headers, end_stream=end)
        except (h2.exceptions.TooManyStreamsError, h2.exceptions.NoAvailableStreamIDError) as error:
            raise ConnectionRetired(f"the connection takes no more streams: {error}") from error
        except h2.exceptions.H2Error as error:
            raise httpcore.LocalProtocolError(str(error)) from error
        stream = self._streams[stream_id] = Http2Stream(stream_id, self._heard)
        stream.sent = end
        return stream

    def window(self, stream: Http2Stream) -> int:
        """How many bytes of a body the peer takes now."""
        return self._h2.local_flow_control_window(stream.id)

    def send(self, stream: Http2Stream, body: bytes, start: int, stop: int, *, end: bool) -> None:
        """Queue a part of a body for which the window has room; ``end``: the last."""
        while start < stop:
            size = min(stop - start, self._h2.max_outbound_frame_size)
            piece = body[start : start + size]
            start += size
            self._h2.send_data(stream.id, piece, end_stream=end and start == stop)
        stream.sent = end

    def give_back(self, stream: Http2Stream) -> None:
        """Give what a stream's reader took back to the peer's window."""
        taken, stream.taken = stream.taken, 0
        if taken:
            self._h2.acknowledge_received_data(taken, stream.id)

    def forget(self, stream: Http2Stream) -> None:
        """A stream is over."""
        del self._streams[stream.id]

    def close(self, stream: Http2Stream) -> None:
        """Give back all that a stream has of the window, and tell the peer if it is over too early."""
        stream.taken += stream.held
        stream.held = 0
        self.give_back(stream)
        if stream.error is None and not (stream.ended and stream.sent):
            # Else the peer would go on to send, and bill, what nobody reads.
            with suppress(h2.exceptions.H2Error):  # h2 may know of its end before its event is here
                self._h2.reset_stream(stream.id, h2.errors.ErrorCodes.CANCEL)

    def data_to_send(self) -> bytes:
        """What is queued, of all streams and of h2's own answers. It is not given again."""
        return self._h2.data_to_send()

    def receive(self, data: bytes) -> Iterable[Http2Stream]:
        """Take in what the peer sent. Returns the streams for which something has changed.

        :raises httpcore.RemoteProtocolError: the peer broke the protocol
        """
        self._heard += 1
        changed: list[Http2Stream] = []
        try:
            for part in self._goaway_filter.split(data):
                if isinstance(part, GoAway):
                    changed += self._receive_goaway(part)
                else:
                    for event in self._h2.receive_data(part):
                        changed += self._handle(event)
        except h2.exceptions.H2Error as error:
            raise httpcore.RemoteProtocolError(f"the peer broke HTTP/2: {error}") from error
        return changed

    def _handle(self, event: h2.events.Event) -> Iterable[Http2Stream]:
        stream_id: int = getattr(event, "stream_id", None) or 0
        stream = self._streams.get(stream_id)
        if stream is None:
            # Settings, or the connection's window: whoever sends may go on.
            return self._streams.values() if stream_id == 0 else ()
        match event:
            case h2.events.ResponseReceived():
                # h2 has checked that :status is there, and comes first.
                (_, status), *headers = event.headers
                stream.head = int(status), Headers((bytes(name), bytes(value)) for name, value in headers)
            case h2.events.DataReceived():
                stream.held += event.flow_controlled_length or 0
                if event.data:
                    stream.inbox.append(event.data)
            case h2.events.StreamEnded():
                stream.ended = True
            case h2.events.StreamReset():
                self._receive_reset(stream, event.error_code)
            case h2.events.WindowUpdated():
                pass
            case _:
                return ()  # informational responses, trailers
        return (stream,)

    def _receive_reset(self, stream: Http2Stream, code: h2.errors.ErrorCodes | int) -> None:
        # After a whole response it only says that the rest of the request is not wanted: RFC 9113, 8.1.
        if stream.ended:
            return
        if code == h2.errors.ErrorCodes.REFUSED_STREAM and stream.head is None:
            stream.error = ConnectionRetired("the peer refused the stream")
        else:
            name = code.name if isinstance(code, h2.errors.ErrorCodes) else str(code)
            stream.error = httpcore.RemoteProtocolError(f"the stream was reset: {name}")

    def _receive_goaway(self, goaway: GoAway) -> Iterable[Http2Stream]:
        self._goaway = goaway
        ignored = [one for one in self._streams.values() if one.id > goaway.last_stream_id and one.head is None]
        for stream in ignored:
            stream.error = ConnectionRetired(_described(goaway))
        return ignored

    def broken(self, stream: Http2Stream, error: httpcore.NetworkError | httpcore.ProtocolError) -> Exception:
        """What the end of the connection is to a stream."""
        # As with HTTP/1.1: on a connection that was in use before, a request to which the peer did not say
        # one word ran into its closing.
        if stream.id > 1 and stream.heard == self._heard:
            return ConnectionRetired(str(error))
        return type(error)(str(error))


def _described(goaway: GoAway) -> str:
    try:
        name = h2.errors.ErrorCodes(goaway.error_code).name
    except ValueError:
        name = str(goaway.error_code)
    debug = goaway.debug[:200].decode("utf-8", "replace")
    return f"the peer goes away: {name}{' ' if debug else ''}{debug}"
