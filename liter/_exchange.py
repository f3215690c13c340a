"""The innermost handler: joins a provider's codec and the transport, and makes the reply."""

from types import TracebackType
from typing import Generic, TypeVar, cast

import anyio

from ._contract import Attempt, Call
from ._errors import LlmError, LlmTimeoutError, SerializationError
from ._http import HttpRequest
from ._reply import Reply
from ._routing import RouteTable
from ._wire_events import WireEvents
from .providers import Provider
from .transport import TRANSPORT_ERRORS, ConnectionRetired, Response, Transport, translate

R = TypeVar("R")

# An error's body is read to this size; no provider says more that helps.
ERROR_BODY_LIMIT = 256 * 1024


class Exchange:
    """Sends each call to its provider.

    :param routes: finds codecs and keys
    :param max_response_bytes: a larger unary body is refused
    :param max_event_bytes: a larger event of a stream is refused
    """

    def __init__(
        self,
        routes: RouteTable,
        transport: Transport,
        *,
        max_response_bytes: int = 64 * 1024 * 1024,
        max_event_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self.routes = routes
        self.transport = transport
        self.max_response_bytes = max_response_bytes
        self.max_event_bytes = max_event_bytes

    def __call__(self, call: Call[R], /) -> "_Scope[R]":
        return _Scope(self, call)

    def __repr__(self) -> str:
        return "Exchange()"


class _Scope(Generic[R]):
    """One attempt: its reply's scope."""

    __slots__ = ("_attempt", "_call", "_exchange", "_reply", "_response")

    def __init__(self, exchange: Exchange, call: Call[R]) -> None:
        self._exchange = exchange
        self._call = call
        self._response: Response | None = None
        self._reply: Reply[R] | None = None

    async def __aenter__(self) -> Reply[R]:
        call, exchange = self._call, self._exchange
        route = call.route
        provider = exchange.routes.providers[route.provider]
        exchange.routes.check(route)
        request = provider.encode(call)
        self._begin(call.waited)
        enter_by = call.enter_by
        try:
            with anyio.CancelScope(deadline=enter_by):
                response = await self._send(request, enter_by)
                self._response = response
                attempt = self._attempt
                attempt.status = response.status
                attempt.request_id = provider.request_id(response.headers)
                if not 200 <= response.status < 300:
                    body = self._mask(await _read(response, ERROR_BODY_LIMIT, cut=True))
                    raise provider.error(call, response.status, response.headers, body)
                reply = await (self._enter_stream(provider) if call.stream else self._enter_whole(provider))
                self._reply = reply
                return reply
            raise self._too_late()
        except TRANSPORT_ERRORS as error:
            translated = translate(error, connect=call.timeouts.connect)
            await self._failed(translated)
            raise translated from error
        except BaseException as error:
            await self._failed(error)
            raise

    def _begin(self, waited: float) -> None:
        call = self._call
        self._attempt = Attempt(
            number=len(call.attempts) + 1,
            provider=call.route.provider,
            model=call.route.model,
            started=anyio.current_time(),
            waited=waited,
        )
        call.attempts.append(self._attempt)

    async def _send(self, request: HttpRequest, enter_by: float) -> Response:
        transport, connect = self._exchange.transport, self._call.timeouts.connect
        try:
            return await transport.send(request, connect=connect, deadline=enter_by)
        except ConnectionRetired:
            # No failure of the provider's, so no layer is asked. It is on the record all the same: the provider
            # may have begun, and billed, what it did not answer.
            await self._close("ConnectionRetired")
            self._begin(0.0)
            return await transport.send(request, connect=connect, deadline=enter_by, fresh=True)

    async def _enter_whole(self, provider: Provider) -> Reply[R]:
        response, attempt = cast(Response, self._response), self._attempt
        body = await _read(response, self._exchange.max_response_bytes)
        value = provider.decode(self._call, body)
        return Reply(
            value=value,
            status=response.status,
            headers=response.headers,
            request_id=attempt.request_id,
            raw=body,
            usage=provider.usage(value),
        )

    async def _enter_stream(self, provider: Provider) -> Reply[R]:
        response, call = cast(Response, self._response), self._call
        decoder = provider.open_stream(call)
        events = WireEvents(response, decoder, call.timeouts, call.deadline, self._exchange.max_event_bytes)
        if response.headers.get("content-type", "").startswith("application/json"):
            # A whole reply where a stream was asked for: some servers do that, and some send errors so.
            events.take_whole(await _read(response, self._exchange.max_response_bytes))
        else:
            await events.open()
        reply: Reply[R] = Reply(
            events=events,
            status=response.status,
            headers=response.headers,
            request_id=self._attempt.request_id,
            cancel=events.cancel,
        )
        events.reply = reply
        reply.usage = decoder.usage
        return reply

    def _mask(self, body: bytes) -> bytes:
        """Take the key out of what a provider echoes. A shorter one is a placeholder, and may be a part of any word."""
        key = self._call.route.api_key
        text = key.reveal() if key else ""
        return body.replace(text.encode(), b"***") if len(text) >= 8 else body

    def _too_late(self) -> LlmTimeoutError:
        call = self._call
        limit, seconds = "first event", call.timeouts.first_event
        if call.enter_by == call.deadline:
            limit, seconds = "total", call.timeouts.total
        if self._response is not None:
            seen = "the answer was not complete"
        elif (pool := self._exchange.transport.pool()).exhausted:
            seen = f"no answer, and {pool!r}"
        else:
            seen = "no answer"
        return LlmTimeoutError(f"{seen} within {seconds:g} s (limit: {limit})", limit=limit, seconds=seconds)

    async def _failed(self, error: BaseException) -> None:
        await self._close(_outcome(error))
        if isinstance(error, LlmError):
            self._attach_headers(error)
            # Here, too, and not at the caller alone: layers look at it.
            self._call.complete(error)

    def _attach_headers(self, error: LlmError) -> None:
        response, key = self._response, self._call.route.api_key
        if response is not None and not error.headers:
            error.headers = response.headers.without_credentials(key.reveal() if key else "")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        reply = self._reply
        if reply is None or reply.finished:
            outcome = "ok"
        elif reply.error is not None:
            outcome = _outcome(reply.error)
            if isinstance(reply.error, LlmError):
                self._attach_headers(reply.error)
        else:
            outcome = "abandoned"
        await self._close(outcome)

    async def _close(self, outcome: str) -> None:
        attempt = self._attempt
        attempt.outcome = outcome
        attempt.seconds = anyio.current_time() - attempt.started
        response = self._response
        if response is not None:
            await response.aclose()


def _outcome(error: BaseException) -> str:
    return type(error).__name__ if isinstance(error, Exception) else "cancelled"


async def _read(response: Response, limit: int, *, cut: bool = False) -> bytes:
    """Read the rest of a body, at most ``limit`` bytes: beyond them it is cut, or refused."""
    pieces: list[bytes] = []
    size = 0
    while piece := await response.read_chunk():
        size += len(piece)
        pieces.append(piece)
        if size > limit:
            if not cut:
                raise SerializationError(f"the reply is larger than max_response_bytes={limit}")
            break
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
