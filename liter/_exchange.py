"""The innermost handler: joins a provider's codec and the transport, and makes the reply."""

from datetime import UTC, datetime
from types import TracebackType
from typing import Generic, TypeVar, cast

import anyio
from msgspec.structs import replace

from ._body import is_json, read_first, read_rest, without_mark
from ._contract import Attempt, Call, CredentialSource, RenewableSource, Signer
from ._errors import AuthenticationError, BadRequestError, LlmError, LlmTimeoutError
from ._fetch import Fetcher
from ._form import Form
from ._http import Headers, HttpRequest
from ._kept import may_be_done
from ._reply import Reply
from ._routing import RouteTable
from ._secret import Secret
from ._upload import Upload, open_upload
from ._wire_events import WireEvents
from .providers import FollowUp, Provider, StreamDecoder, WireProvider
from .transport import TRANSPORT_ERRORS, ConnectionRetired, Response, Transport, translate
from .types import File

R = TypeVar("R")

# An error's body is read to this size; no provider says more that helps.
ERROR_BODY_LIMIT = 256 * 1024


class Exchange:
    """Sends each call to its provider.

    :param routes: finds codecs and keys
    :param fetcher: fetches what a request names by URL, for providers that do not; ``None``: nothing is fetched
    :param max_response_bytes: a larger unary body is refused
    :param max_event_bytes: a larger event of a stream is refused
    """

    def __init__(
        self,
        routes: RouteTable,
        transport: Transport,
        *,
        fetcher: Fetcher | None = None,
        max_response_bytes: int = 64 * 1024 * 1024,
        max_event_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self.routes = routes
        self.transport = transport
        self.fetcher = fetcher
        self.max_response_bytes = max_response_bytes
        self.max_event_bytes = max_event_bytes

    def __call__(self, call: Call[R], /) -> "_Scope[R]":
        return _Scope(self, call)

    def __repr__(self) -> str:
        return "Exchange()"


# A shorter key is a placeholder, and may be a part of any word.
SHORTEST_KEY = 8

# How often in a row a question after a job may fail, and be asked again. To give up is to lose a job that is paid for.
_MOST_FAILURES = 3

# Codes of credentials that were good and are so no longer.
_ENDED = frozenset({"ExpiredTokenException"})


class _Scope(Generic[R]):
    """One attempt: its reply's scope."""

    __slots__ = ("_attempt", "_call", "_decoder", "_exchange", "_reply", "_response", "_signer", "_upload")

    def __init__(self, exchange: Exchange, call: Call[R]) -> None:
        self._exchange = exchange
        self._call = call
        self._signer: Signer | None = None
        self._response: Response | None = None
        self._decoder: StreamDecoder[R] | None = None
        self._reply: Reply[R] | None = None
        self._upload: Upload | None = None

    async def __aenter__(self) -> Reply[R]:
        source = self._call.route.credentials
        if source is None:
            return await self._enter(self._call.waited)
        self._exchange.routes.check_address(self._call.route)
        refused: list[Secret | Signer] = []
        credential = await self._log_in(source)
        waited = self._call.waited
        while True:
            try:
                return await self._enter(waited)
            except AuthenticationError as error:
                # 403 is no doubt about who is calling, unless it says that the credential has ended (AWS).
                doubted = error.status not in (None, 403) or error.code in _ENDED
                if credential is None or not doubted or not isinstance(source, RenewableSource):
                    raise
                refused.append(credential)
                if not source.refused(credential) or (self._upload is not None and not self._upload.rewindable):
                    raise
                credential = await self._log_in(source)
                if credential is None or credential in refused:
                    raise
                waited, self._response, self._decoder, self._upload = 0.0, None, None, None

    async def _enter(self, waited: float) -> Reply[R]:
        """Make one request, and enter its reply."""
        exchange, call = self._exchange, self._call
        route, enter_by = call.route, call.enter_by
        provider = exchange.routes.provider(route.provider)
        exchange.routes.check(route, signed=self._signer is not None)
        if exchange.fetcher is not None and isinstance(provider, WireProvider):
            urls = provider.needs_inline(call)
            if urls:
                self._call = call = await exchange.fetcher.inline(call, urls)
        try:
            request = provider.encode(call)
        except TypeError as error:
            raise BadRequestError(f"the request cannot be written down: {error}") from error
        if call.gates:
            with anyio.CancelScope(deadline=enter_by) as scope:
                await self._begin(request, waited)
            if scope.cancelled_caught:
                raise self._too_late()
        else:
            await self._begin(request, waited)
        try:
            with anyio.CancelScope(deadline=enter_by):
                response = await self._send(request, enter_by)
                self._response = response
                attempt = self._attempt
                attempt.status = response.status
                attempt.request_id = provider.request_id(response.headers)
                if not 200 <= response.status < 300:
                    body = self._mask(await read_rest(response, ERROR_BODY_LIMIT, cut=True))
                    raise provider.error(call, response.status, response.headers, body)
                reply = await (self._enter_stream(provider) if call.stream else self._enter_whole(provider, request))
                self._reply = reply
                for watcher in call.watchers:
                    watcher.entered(attempt, cast("Reply[object]", reply))
                return reply
            raise self._too_late()
        except TRANSPORT_ERRORS as error:
            translated = translate(error, connect=call.timeouts.connect)
            await self._failed(translated)
            raise translated from error
        except BaseException as error:
            await self._failed(error)
            raise

    async def _log_in(self, source: CredentialSource) -> Secret | Signer | None:
        """Get the credential to use, within the call's time."""
        credential = None
        with anyio.CancelScope(deadline=self._call.enter_by) as scope:
            credential = await source.get()
        if scope.cancelled_caught:
            raise self._too_late()
        if credential is None or isinstance(credential, Secret):
            route = self._call.route
            self._call = replace(self._call, route=replace(route, api_key=credential or route.api_key))
        else:
            self._signer = credential
        return credential

    async def _begin(self, request: HttpRequest, waited: float) -> None:
        call = self._call
        self._attempt = attempt = Attempt(
            number=0,
            provider=call.route.provider,
            model=call.route.model,
            started=anyio.current_time(),
            operation=call.operation,
            base_url=call.route.base_url,
            waited=waited,
        )
        for gate in call.gates:
            await gate.admit(cast("Call[object]", call), attempt, request)
            attempt.started = anyio.current_time()
        # Others may have begun meanwhile.
        attempt.number = len(call.attempts) + 1
        call.attempts.append(attempt)

    def _prepare(self, request: HttpRequest) -> HttpRequest:
        """Add the watchers' headers, then sign: nothing may change after that."""
        for watcher in self._call.watchers:
            if added := watcher.begin(cast("Call[object]", self._call), self._attempt, request):
                request = replace(request, headers=(*request.headers, *added))
        return request if self._signer is None else self._signer.sign(request, datetime.now(UTC))

    async def _opened(self, request: HttpRequest) -> HttpRequest:
        """The request as it goes out, with the files of its body open."""
        request = self._prepare(request)
        upload = request.upload
        if not isinstance(upload, Form | File):
            return request
        try:
            self._upload = await open_upload(upload)
        except ValueError as error:
            raise BadRequestError(str(error)) from error
        return replace(request, upload=self._upload)

    async def _send(self, request: HttpRequest, enter_by: float) -> Response:
        transport, connect = self._exchange.transport, self._call.timeouts.connect
        try:
            return await transport.send(await self._opened(request), connect=connect, deadline=enter_by)
        except ConnectionRetired as error:
            # No failure of the provider's, so no layer is asked. It is on the record all the same: the provider
            # may have begun, and billed, what it did not answer.
            await self._close("ConnectionRetired", error)
            await self._begin(request, 0.0)
            return await transport.send(await self._opened(request), connect=connect, deadline=enter_by, fresh=True)

    async def _enter_whole(self, provider: Provider, request: HttpRequest) -> Reply[R]:
        attempt = self._attempt
        body = await read_rest(cast(Response, self._response), self._exchange.max_response_bytes)
        if isinstance(provider, WireProvider):
            headers = cast(Response, self._response).headers
            while (step := provider.follow(self._call, request, headers, body)) is not None:
                request = step.request
                headers, body = await self._follow(provider, step)
        response = cast(Response, self._response)
        value = provider.decode(self._call, without_mark(body), response.headers)
        return Reply(
            value=value,
            status=response.status,
            headers=response.headers,
            request_id=attempt.request_id,
            raw=body,
            usage=provider.usage(self._call, value),
        )

    async def _follow(self, provider: WireProvider, step: FollowUp) -> tuple[Headers, bytes]:
        """Send the next request of this attempt, until it is answered, and return what comes.

        What fails on the way is asked again here, and by no layer above: the provider is at work already, and another
        attempt would be another job.
        """
        call, transport, delay = self._call, self._exchange.transport, step.delay
        failures, fresh = 0, False
        while True:
            await cast(Response, self._response).aclose()
            await anyio.sleep(delay)
            request = step.request if self._signer is None else self._signer.sign(step.request, datetime.now(UTC))
            try:
                self._response = response = await transport.send(
                    request, connect=call.timeouts.connect, deadline=call.enter_by, fresh=fresh
                )
                if 200 <= response.status < 300:
                    self._attempt.status = response.status
                    return response.headers, await read_rest(response, self._exchange.max_response_bytes)
                body = self._mask(await read_rest(response, ERROR_BODY_LIMIT, cut=True))
                failure = provider.error(call, response.status, response.headers, body)
            except TRANSPORT_ERRORS as error:
                fresh = isinstance(error, ConnectionRetired)
                failure = translate(error, connect=call.timeouts.connect)
                failure.__cause__ = error
            failures += 1
            if not failure.retryable or failures > _MOST_FAILURES:
                failure.retryable = False
                raise failure
            delay = failure.retry_after if failure.retry_after is not None else 2 * delay

    async def _enter_stream(self, provider: Provider) -> Reply[R]:
        response, call = cast(Response, self._response), self._call
        self._decoder = decoder = provider.open_stream(call)
        # A whole reply where a stream was asked for: some servers do that, and some send errors so. It is told by
        # its first byte, as there are proxies that call a stream JSON, and servers that call JSON a stream.
        begun = await read_first(response)
        events = WireEvents(response, decoder, call.timeouts, call.deadline, self._exchange.max_event_bytes, begun)
        if decoder.framing in ("sse", "eventstream") and is_json(begun):
            body = begun + await read_rest(response, self._exchange.max_response_bytes)
            events.take_whole(without_mark(body))
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
        """Take the key out of what a provider echoes."""
        key = self._call.route.api_key
        text = key.reveal() if key else ""
        return body.replace(text.encode(), b"***") if len(text) >= SHORTEST_KEY else body

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
        await self._close(_outcome(error), error)
        if isinstance(error, LlmError):
            if self._upload is not None and not self._upload.rewindable:
                error.retryable = False
            if self._call.operation == "create_batch" and may_be_done(error):
                # Another attempt might be another batch, with a bill of its own.
                error.retryable = False
            self._tell(error)
            # Here, too, and not at the caller alone: layers look at it.
            self._call.complete(error)

    def _tell(self, error: LlmError) -> None:
        """Give an error the headers of its answer, and take the key out of all that it holds."""
        response, key = self._response, self._call.route.api_key
        text = key.reveal() if key else ""
        if response is not None and not error.headers:
            error.headers = response.headers.without_credentials(text)
        # A refusal's body was masked before it was read. One under a status of success, or in a stream, was not.
        if len(text) >= SHORTEST_KEY and (text in error.message or text.encode() in error.body):
            error.message = error.message.replace(text, "***")
            error.args = (error.message,)
            error.code = error.code and error.code.replace(text, "***")
            error.body = self._mask(error.body)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        reply = self._reply
        if reply is None or reply.finished:
            await self._close("ok", None)
        elif reply.error is not None:
            if isinstance(reply.error, LlmError):
                self._tell(reply.error)
            await self._close(_outcome(reply.error), reply.error)
        else:
            await self._close("abandoned", None)

    async def _close(self, outcome: str, error: BaseException | None) -> None:
        attempt = self._attempt
        if not attempt.number:
            return  # it was not let through, after the one before it had ended
        attempt.outcome = outcome
        attempt.seconds = anyio.current_time() - attempt.started
        if self._reply is not None:
            attempt.usage = self._reply.usage
        elif self._decoder is not None:
            attempt.usage = self._decoder.usage
        if self._upload is not None:
            self._upload.close()
        try:
            if self._response is not None:
                await self._response.aclose()
        finally:
            for watcher in self._call.watchers:
                watcher.ended(attempt, error)


def _outcome(error: BaseException) -> str:
    return type(error).__name__ if isinstance(error, Exception) else "cancelled"
