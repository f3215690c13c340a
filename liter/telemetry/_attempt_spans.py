"""The attempts of one call: a span for each request on the wire, its trace context on that request, its counts."""

from typing import TYPE_CHECKING

from opentelemetry.propagators.textmap import DefaultSetter
from opentelemetry.trace import SpanKind, Status, StatusCode

from .._contract import Attempt, Call, Route
from .._http import HttpRequest, RawHeaders
from .._reply import Reply
from . import _http as http
from . import _names as names
from ._clock import Clock
from ._recorder import Recorder, quiet, with_span
from ._request import Attributes
from ._response import error_type

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import Setter
    from opentelemetry.trace import Span


_SETTER: "Setter[dict[str, str]]" = DefaultSetter()  # type: ignore[assignment] # it takes any mutable mapping


# Of what a span is born with, what its metric has, too: a URL would make too many.
_MEASURED = (names.HTTP_METHOD, names.SERVER_ADDRESS, names.SERVER_PORT)


class _Wire:
    """An attempt that has begun."""

    __slots__ = ("attributes", "context", "entered", "span", "started")

    def __init__(self, attributes: Attributes, context: "Context", span: "Span | None", started: float) -> None:
        self.attributes = attributes
        self.context = context
        self.span = span
        self.started = started
        self.entered: float | None = None


class AttemptSpans:
    """Watches a call's attempts. See :class:`liter.AttemptWatcher`.

    :param parent: the context with the call's span, which is the parent of all, in whichever task they are made
    :ivar attempts: all that have begun
    :ivar route: of the attempt that was entered last, or else of the last that began
    """

    __slots__ = ("_clock", "_hedges", "_parent", "_resends", "_winner", "_wires", "attempts", "recorder", "route")

    def __init__(self, recorder: Recorder, parent: "Context", clock: Clock, route: Route) -> None:
        self.recorder = recorder
        self._parent = parent
        self._clock = clock
        self.route = route
        self.attempts: list[Attempt] = []
        self._wires: dict[int, tuple[_Wire, Route]] = {}
        self._resends: dict[tuple[str, str, str], int] = {}
        self._hedges: set[int] = set()
        self._winner: Attempt | None = None

    def hedged(self, number: int) -> None:
        """Remember that the attempt of this number is an extra one."""
        self._hedges.add(number)

    def begin(self, call: Call[object], attempt: Attempt, request: HttpRequest, /) -> RawHeaders:
        return self._begin(call, attempt, request) or ()

    @quiet
    def _begin(self, call: Call[object], attempt: Attempt, request: HttpRequest) -> RawHeaders:
        settings, started = self.recorder.settings, self._clock.now()
        self.attempts.append(attempt)
        if self._winner is None:
            self.route = call.route
        attributes = http.creation_attributes(request)
        wire = _Wire({name: attributes[name] for name in _MEASURED}, self._parent, None, started)
        self._wires[id(attempt)] = wire, call.route
        if settings.attempt_spans:
            template = http.url_template(call, request)
            span = self.recorder.tracer.start_span(
                f"{request.method} {template}",
                self._parent,
                SpanKind.CLIENT,
                attributes,
                start_time=self._clock.nanoseconds(started),
            )
            wire.span, wire.context = span, with_span(self._parent, span)
            if span.is_recording():
                span.set_attributes({names.URL_TEMPLATE: template, **self._about(call, attempt)})
        return self._headers(request, wire.context)

    def _about(self, call: Call[object], attempt: Attempt) -> Attributes:
        about: Attributes = {names.ATTEMPT_PROVIDER: attempt.provider, names.ATTEMPT_MODEL: attempt.model}
        route = call.route
        where = route.provider, route.base_url, route.model
        sent = self._resends.get(where, 0)
        self._resends[where] = sent + 1
        if sent:
            about[names.HTTP_RESEND_COUNT] = sent
        if call.attempt in self._hedges:
            about[names.ATTEMPT_KIND] = "hedge"
        if attempt.waited:
            about[names.ATTEMPT_WAITED] = float(attempt.waited)
        return about

    def _headers(self, request: HttpRequest, context: "Context") -> RawHeaders:
        propagator = self.recorder.propagator
        if propagator is None:
            return ()
        carrier: dict[str, str] = {}
        propagator.inject(carrier, context, _SETTER)
        # A header that the caller has set is the caller's.
        taken = {name for name, _ in request.headers}
        made = ((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in carrier.items())
        return tuple(header for header in made if header[0] not in taken)

    @quiet
    def entered(self, attempt: Attempt, reply: Reply[object], /) -> None:
        found = self._wires.get(id(attempt))
        if found is None:
            return
        wire, self.route = found
        self._winner = attempt
        wire.entered = self._clock.now()
        if reply.streamed:
            # The call's span covers the stream. Who reads it, and when, is not the attempt's doing.
            self._end(wire, attempt, None, cancelled=False)

    @quiet
    def ended(self, attempt: Attempt, error: BaseException | None, /) -> None:
        found = self._wires.pop(id(attempt), None)
        if found is None:
            return
        wire, _ = found
        lost = self._winner not in (None, attempt) and error is not None and not isinstance(error, Exception)
        self._end(wire, attempt, error, cancelled=error is not None and not isinstance(error, Exception), lost=lost)
        self.recorder.instruments.attempt(
            {
                names.PROVIDER: names.provider_name(attempt.provider),
                names.REQUEST_MODEL: attempt.model,
                names.ATTEMPT_OUTCOME: "hedge_lost" if lost else attempt.outcome,
            },
            wire.context,
        )

    def _end(
        self, wire: _Wire, attempt: Attempt, error: BaseException | None, *, cancelled: bool, lost: bool = False
    ) -> None:
        span, wire.span = wire.span, None
        if span is None:
            return
        ended = self._clock.now() if wire.entered is None else wire.entered
        failure = None
        if attempt.status is not None and attempt.status >= 400:
            failure = str(attempt.status)
        elif error is not None and not cancelled:
            failure = error_type(error)
        outcome = http.outcome_attributes(attempt, failure)
        try:
            if span.is_recording():
                span.set_attributes(outcome)
                if attempt.request_id:
                    span.set_attribute(names.REQUEST_ID, attempt.request_id)
                if lost:
                    span.set_attribute(names.ATTEMPT_OUTCOME, "hedge_lost")
                if failure is not None:
                    span.set_status(Status(StatusCode.ERROR))
            measured = {**wire.attributes, **outcome}
            self.recorder.instruments.http(ended - wire.started, measured, wire.context)
        finally:
            span.end(self._clock.nanoseconds(ended))
