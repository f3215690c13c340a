"""One call as telemetry sees it: its span, those of its attempts, and its measurements.

Nothing here awaits, and no context token outlives the function that made it: parents are given explicitly, so that
the current span of every task stays what it was. What goes wrong here is told once in the log and reaches nobody.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import msgspec
from opentelemetry import context as contexts
from opentelemetry.trace import SpanKind, Status, StatusCode

from .._contract import Call
from .._reply import Reply
from ..money import Cost
from ..types import Usage
from . import _names as names
from ._attempt_spans import AttemptSpans
from ._captured import Captured
from ._clock import Clock
from ._content import Json
from ._layer_events import event_attributes, event_name
from ._log_events import emit_details, emit_exception, exception_attributes
from ._recorder import Recorder, quiet, with_span
from ._request import Attributes, choice_count, creation_attributes, request_attributes, span_name
from ._response import Facts, cost_attributes, error_description, error_type, usage_attributes

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

_DROPPED = "The stream was dropped before its end."


def _observations(call: Call[object]) -> "list[Observation]":
    """Those that see a call, the outermost first."""
    owners = [getattr(each, "__self__", None) for each in call.listeners]
    return [owner for owner in owners if isinstance(owner, Observation)]


def _context_of(call: Call[object]) -> "Context":
    """Where a call's span belongs: below what is current; or, where it goes on with a stream, below that one's span."""
    outer = _observations(call)
    return outer[-1].context if outer and outer[-1].streams else contexts.get_current()


def observe(recorder: Recorder, call: Call[object]) -> "Observation | None":
    """Begin to observe a call; ``None`` if telemetry fails at that."""
    try:
        return Observation(recorder, call)
    except Exception as error:  # noqa: BLE001 # as in quiet
        recorder.complain(error)
        return None


class Observation:
    """Begins with the call, and ends exactly once.

    :ivar context: with the call's span in it
    """

    __slots__ = (
        "__weakref__",
        "_attempts",
        "_call",
        "_captured",
        "_chunks",
        "_clock",
        "_ended",
        "_facts",
        "_finished",
        "_first",
        "_measured",
        "_named",
        "_span",
        "context",
        "recorder",
    )

    def __init__(self, recorder: Recorder, call: Call[object]) -> None:
        settings = recorder.settings
        self.recorder = recorder
        self._call = call
        self._clock = Clock()
        self._facts = Facts()
        self._finished = False
        self._chunks = 0
        # When a stream's first event was in, and when all was.
        self._first: float | None = None
        self._ended: float | None = None
        outside = _context_of(call)
        # What its metrics and its span's birth have in common; empty for what has no span of its own.
        self._named: Attributes = {} if settings.route else creation_attributes(call.operation, call.route)
        self._measured: Attributes = self._named
        self._span: Span | None = self._start(call, outside)
        self.context: Context = with_span(outside, self._span)
        self._attempts = AttemptSpans(recorder, self.context, self._clock, call.route)
        captures = settings.capture != "none" and (settings.details_event or self._recording)
        self._captured = Captured(settings) if captures else None

    def inward(self) -> Call[object]:
        """Make the call for the layers further in. It is not kept: it refers to this, and would be a cycle."""
        call = self._call
        watchers = call.watchers if self.recorder.settings.route else (*call.watchers, self._attempts)
        return msgspec.structs.replace(call, watchers=watchers, listeners=(*call.listeners, self.listen))

    @property
    def _recording(self) -> bool:
        return self._span is not None and self._span.is_recording()

    def _start(self, call: Call[object], outside: "Context") -> "Span | None":
        settings, tracer = self.recorder.settings, self.recorder.tracer
        began = self._clock.nanoseconds(self._clock.began)
        if settings.route:
            asked = {names.ROUTE_MODEL: call.route.model} if call.route.model else None
            return tracer.start_span(names.ROUTE_SPAN, outside, SpanKind.INTERNAL, asked, start_time=began)
        if not self._named:
            return None
        named = _values(self._named)
        span = tracer.start_span(span_name(self._named), outside, SpanKind.CLIENT, named, start_time=began)
        if span.is_recording():
            provider = names.provider_name(call.route.provider)
            span.set_attributes(_values(request_attributes(call, provider, settings.tags)))
        return span

    @contextmanager
    def current(self) -> Generator[None]:
        """Make the call's span the current one, inside one function of one task."""
        token = contexts.attach(self.context)
        try:
            yield
        finally:
            contexts.detach(token)

    # What happens meanwhile

    @quiet
    def listen(self, event: object) -> None:
        """Be told by a layer."""
        if not self._is_innermost(event):
            return
        name = event_name(event)
        number = getattr(event, "attempt", None)
        if name == "hedging" and isinstance(number, int):
            self._attempts.hedged(number)
        if self._span is not None and self._span.is_recording():
            at = self._clock.nanoseconds(self._clock.now())
            self._span.add_event(names.OWN.format(name), _values(event_attributes(name, event)), at)
        call = getattr(event, "call", None)
        route = call.route if isinstance(call, Call) else self._attempts.route
        about: Attributes = {names.PROVIDER: names.provider_name(route.provider), names.REQUEST_MODEL: route.model}
        self.recorder.instruments.event(name, event, about, self.context)

    def _is_innermost(self, event: object) -> bool:
        """Whether no other one further in is told the same."""
        call = getattr(event, "call", None)
        if not isinstance(call, Call):
            return True
        own = _observations(cast("Call[object]", call))
        return not own or own[-1] is self

    @property
    def streams(self) -> bool:
        """Whether its stream is being read."""
        return self._first is not None

    @quiet
    def entered(self, reply: Reply[object]) -> None:
        """The reply is in: whole, or a stream with its first event."""
        if reply.streamed:
            self._first = self._clock.now()
        else:
            self._ended = self._clock.now()
            self._facts.add(reply.value)
        self._move()

    def now(self) -> float:
        """Return the event loop's time."""
        return self._clock.now()

    @quiet
    def chunk(self, event: object, asked: float) -> None:
        """An event of the stream has come, which the consumer had asked for at ``asked``.

        Its time is what reading it took: what the consumer did before is not the provider's doing.
        """
        self._chunks += 1
        self._facts.add(event)
        if self._captured is not None:
            self._captured.add(event)
        # The first was in when the stream was entered.
        if self._chunks > 1 and self._named:
            self.recorder.instruments.next_chunk(self._clock.now() - asked, self._with_model(), self.context)

    def _with_model(self) -> Attributes:
        if self._facts.model and names.RESPONSE_MODEL not in self._measured:
            self._measured = {**self._measured, names.RESPONSE_MODEL: self._facts.model}
        return self._measured

    # The end

    def finish(self, reply: Reply[object] | None, error: BaseException | None, *, dropped: bool = False) -> None:
        """End the span and record what is known; once, whatever is called after it.

        :param reply: what was entered, if anything was
        :param error: what ended it, a cancellation too
        :param dropped: nobody closed it: it was collected
        """
        if self._finished:
            return
        self._finished = True
        if self._ended is None:
            self._ended = self._clock.now()
        failure: str | None = None
        if isinstance(error, Exception):
            failure = error_type(error)
        elif dropped:
            failure = names.FALLBACK_ERROR_TYPE
        if self._named:
            with self.current():
                self._measure(reply, failure)
                self._tell(reply, error, failure)
        self._end(error, failure)

    @quiet
    def _end(self, error: BaseException | None, failure: str | None) -> None:
        span = self._span
        if span is None:
            return
        try:
            if failure is not None and span.is_recording():
                described = error_description(error) if isinstance(error, Exception) else _DROPPED
                span.set_status(Status(StatusCode.ERROR, described))
        finally:
            span.end(self._clock.nanoseconds(self._end_time))

    @property
    def _end_time(self) -> float:
        return self._clock.now() if self._ended is None else self._ended

    def _move(self) -> None:
        """Take the place of the attempt that answered, where a layer has sent the call elsewhere."""
        route, asked = self._attempts.route, self._call.route
        if not self._named or (route.provider, route.model, route.base_url) == (
            asked.provider,
            asked.model,
            asked.base_url,
        ):
            return
        made = creation_attributes(self._call.operation, route)
        if made != self._named:
            self._named = self._measured = made
            if self._span is not None and self._span.is_recording():
                self._span.update_name(span_name(made))
                self._span.set_attributes(_values(made))

    @quiet
    def _measure(self, reply: Reply[object] | None, failure: str | None) -> None:
        self._move()
        instruments, context, measured = self.recorder.instruments, self.context, self._with_model()
        if self._first is not None:
            instruments.first_chunk(self._first - self._clock.began, measured, context)
        usage, cost = self._usage(reply), self._cost(reply)
        if usage is not None:
            instruments.usage(usage, measured, context)
        if cost is not None:
            instruments.cost(float(cost), measured, context)
        instruments.duration(self._end_time - self._clock.began, measured, failure, context)

    def _came_back(self, reply: Reply[object] | None, failure: str | None) -> Attributes:
        """All that is known at the end."""
        settings = self.recorder.settings
        operation, provider = str(self._named[names.OPERATION]), str(self._named[names.PROVIDER])
        attributes = self._facts.attributes(operation, provider)
        if self._first is not None:
            attributes[names.TIME_TO_FIRST_CHUNK] = self._first - self._clock.began
        if reply is not None:
            reasons = self._facts.finish_reasons(choice_count(self._call.request), complete=reply.finished)
            attributes.update(reasons)
            if reply.request_id:
                attributes[names.REQUEST_ID] = reply.request_id
            if reply.origin == "cache":
                attributes[names.CACHE_HIT] = True
            if reply.origin != "provider":
                attributes[names.REPLY_ORIGIN] = reply.origin
        usage, cost = self._usage(reply), self._cost(reply)
        if usage is not None:
            attributes.update(usage_attributes(usage, operation, settings.cache_write_key))
        if cost is not None:
            attributes.update(cost_attributes(cost, settings.cost_conventions))
        attributes[names.ATTEMPT_COUNT] = len(self._attempts.attempts)
        if failure is not None:
            attributes[names.ERROR_TYPE] = failure
        return attributes

    @quiet
    def _tell(self, reply: Reply[object] | None, error: BaseException | None, failure: str | None) -> None:
        """Put what is known on the span, and into log events where these are wanted."""
        settings, logger, span = self.recorder.settings, self.recorder.logger, self._span
        recording = span is not None and span.is_recording()
        if not recording and logger is None:
            return
        at = self._clock.nanoseconds(self._clock.now())
        attributes = self._came_back(reply, failure)
        content = self._content(reply) or {}
        if span is not None and recording:
            span.set_attributes(_values(attributes))
            if settings.capture in ("span", "both"):
                for name, value in content.items():
                    span.set_attribute(name, _compact(value))
            if isinstance(error, Exception) and settings.exceptions != "logs":
                self._tell_exception(span, error, at)
        if logger is None:
            return
        if settings.details_event:
            provider = names.provider_name(self._call.route.provider)
            asked = request_attributes(self._call, provider, settings.tags)
            said = content if settings.capture in ("event", "both") else {}
            emit_details(logger, {**self._named, **asked, **attributes, **said}, self.context, at)
        if isinstance(error, Exception) and settings.exceptions != "span":
            emit_exception(logger, error, self._named, self.context, at, whole=settings.capture != "none")

    def _tell_exception(self, span: "Span", error: Exception, at: int) -> None:
        told = exception_attributes(error, whole=self.recorder.settings.capture != "none")
        span.add_event(names.SPAN_EXCEPTION_EVENT, told, at)

    @quiet
    def _content(self, reply: Reply[object] | None) -> Mapping[str, Sequence[Json]]:
        return {} if self._captured is None else self._captured.content(self._call.request, reply)

    def _usage(self, reply: Reply[object] | None) -> Usage | None:
        if reply is not None:
            return reply.usage if reply.origin == "provider" else None
        told = [attempt.usage for attempt in self._attempts.attempts if attempt.usage is not None]
        return told[-1] if told else None

    def _cost(self, reply: Reply[object] | None) -> Cost | None:
        """Return what all attempts cost together. What one of them has cost may be unknown, and so is the sum."""
        attempts = self._attempts.attempts
        if reply is not None and reply.origin != "provider":
            return None
        if attempts and all(attempt.cost is not None for attempt in attempts):
            return Cost.sum(attempt.cost for attempt in attempts)
        return None if reply is None else reply.cost


def _values(attributes: Attributes) -> "dict[str, AttributeValue]":
    # The same thing in OpenTelemetry's words.
    return cast("dict[str, AttributeValue]", attributes)


def _compact(value: Sequence[Json]) -> str:
    return msgspec.json.encode(value).decode()
