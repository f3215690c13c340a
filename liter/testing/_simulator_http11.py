"""The simulator's HTTP/1.1 side: requests in, steps out, by h11."""

import socket
import struct

import anyio
import h11
from anyio.abc import ByteStream, SocketAttribute

from ._network_stream import MemoryStream
from ._simulator_body import Body
from ._simulator_exchange import Accept, Exchange, Incoming, wait
from ._simulator_steps import Close, Data, End, Head, PartialHead, Reset, Wait

# Both mean that the peer is gone; on TLS an end without goodbye is the former.
GONE = (anyio.BrokenResourceError, anyio.EndOfStream)


async def serve_http11(stream: ByteStream, received: bytes, accept: Accept, *, keep_bodies: bool = True) -> None:
    """Answer the requests of one connection, one after the other, until either side ends it.

    :param received: what has been read of it already
    :param keep_bodies: whether the whole of a large body is kept
    :raises anyio.BrokenResourceError: the client reset it between requests
    """
    protocol = h11.Connection(h11.SERVER)
    protocol.receive_data(received)
    while True:
        try:
            incoming = await _read_request(protocol, stream, Body(keep=keep_bodies))
        except h11.RemoteProtocolError as error:
            await stream.send(_refusal(protocol, error))
            return
        if incoming is None:
            return
        ending: Close | Reset | None = None
        with accept(incoming) as exchange:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_watch, protocol, stream, exchange, tasks.cancel_scope)
                ending = await _write(protocol, stream, exchange)
                tasks.cancel_scope.cancel()
        if isinstance(ending, Reset):
            prepare_reset(stream)
        if exchange.client_left or protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
            return
        protocol.start_next_cycle()


async def _read_request(protocol: h11.Connection, stream: ByteStream, body: Body) -> Incoming | None:
    request: h11.Request | None = None
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            if protocol.they_are_waiting_for_100_continue:
                await stream.send(protocol.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            try:
                data = await stream.receive()
            except anyio.EndOfStream:
                data = b""
            protocol.receive_data(data)
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body.add(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            headers: dict[str, str] = {}
            for raw_name, raw_value in request.headers:
                name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            return Incoming(request.method.decode("ascii"), request.target.decode("ascii"), headers, body, "1.1")
        else:
            # The client closed, or wants to talk something else.
            return None


def _refusal(protocol: h11.Connection, error: h11.RemoteProtocolError) -> bytes:
    body = f"not a request: {error}\n".encode()
    head = h11.Response(
        status_code=error.error_status_hint,
        headers=[("content-type", "text/plain"), ("content-length", str(len(body))), ("connection", "close")],
    )
    return b"".join(protocol.send(event) or b"" for event in (head, h11.Data(data=body), h11.EndOfMessage()))


async def _watch(protocol: h11.Connection, stream: ByteStream, exchange: Exchange, scope: anyio.CancelScope) -> None:
    """Notice that the client leaves while we answer; one that only ends its direction has left, too, for us.

    What it sends meanwhile is the next request.
    """
    try:
        while True:
            protocol.receive_data(await stream.receive())
    except GONE:
        exchange.leave()
        scope.cancel()


async def _write(protocol: h11.Connection, stream: ByteStream, exchange: Exchange) -> Close | Reset | None:
    """Write the answer. Returns how the connection has to end with it, if it has to."""
    pending = b""
    undelivered = 0
    ending: Close | Reset | None = None
    try:
        for step in exchange:
            match step:
                case Head():
                    # Goes out with what comes next.
                    pending += protocol.send(_response(step)) or b""
                    continue
                case PartialHead():
                    pending += (protocol.send(_response(step.head)) or b"")[: step.size]
                case Data():
                    undelivered = len(step.data)
                    pending += protocol.send(h11.Data(data=step.data)) or b""
                case End():
                    pending += protocol.send(h11.EndOfMessage()) or b""
                case Close() | Reset():
                    ending = step
                case Wait():
                    pass
            if pending:
                await stream.send(pending)
            pending, undelivered = b"", 0
            if isinstance(step, Wait):
                await wait(step.seconds)
    except GONE:
        exchange.leave(undelivered)
    return ending


def _response(head: Head) -> h11.Response:
    framing = ("transfer-encoding", "chunked") if head.length is None else ("content-length", str(head.length))
    return h11.Response(status_code=head.status, headers=[*head.headers, framing])


def prepare_reset(stream: ByteStream) -> None:
    """Make the connection end by a reset when it is closed, and not by an end of stream."""
    if isinstance(stream, MemoryStream):
        stream.reset()
    else:
        # With a linger time of zero, closing discards what is not sent and tells the peer so.
        raw = stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
