"""A span for each call and for each of its attempts, metrics, and what layers tell, by OpenTelemetry."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from .._contract import Call, Handler
from .._reply import Reply
from ..telemetry._names import CacheWriteKey, Semconv
from ..telemetry._settings import (
    Capture,
    CostConvention,
    Propagate,
    Settings,
    captured,
    details_wanted,
    exception_signal,
)

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from ..telemetry._content import Redact
    from ..telemetry._observation import Observation
    from ..telemetry._recorder import Recorder

    Observe = Callable[[Recorder, Call[object]], Observation | None]

R = TypeVar("R")


class Tracing:
    """Record each call as OpenTelemetry's GenAI conventions say: a span with what was asked for, what came back, what
    it took and what it cost; below it a span for each request on the wire; and metrics.

    Place it outermost: outside ``Retry``, as a call has one span however often it is tried, and outside the layers
    whose doings are to be seen on it (cache hits, waits, retries, moves to other models, hedges, budgets: whatever
    layers tell the listeners of the call). The span that is current when the call begins is its parent. Requests carry
    the W3C trace context of their own attempt's span, no baggage.

    No content is recorded unless ``capture_content`` or the environment asks for it, and errors are described in
    liter's own words, as providers quote what they refuse.

    A call that goes to another model by a ``Fallback`` further in has one span, of the model that answered. For a span
    for each model, with errors and durations of its own, place one inside the ``Fallback``, and at will one with
    ``route=True`` outermost, whose span holds them together::

        [Tracing(route=True), CostTracking(), Fallback([...]), Tracing(), Retry()]

    With no provider of OpenTelemetry's configured, calls pass through. What telemetry itself raises is logged, once,
    and reaches no caller.

    :param semconv: which metrics: ``"compat"``, the names that dashboards know; ``"latest"``, those of the
        conventions' main branch; ``"dual"``, both
    :param capture_content: where prompts and answers are recorded: ``"span"`` (or ``True``), ``"event"``, ``"both"``,
        or ``"none"`` (or ``False``); by default as ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` says
    :param redact: is given the name and value of each content attribute, and returns what may be recorded of it, or
        ``None`` for nothing
    :param details_event: whether each call is a log event, too, with the attributes of its span; by default where
        content is recorded in events, or as ``OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT`` says
    :param propagate: what requests carry: ``"tracecontext"``; ``"global"``, whatever the application's propagator
        makes, baggage included, for endpoints of your own; or ``"off"``
    :param attempt_spans: whether requests have spans and a metric; without, they carry the call's span
    :param cache_write_key: ``"cache_creation"`` for backends older than September 2026
    :param cost_conventions: under which names the cost is told: ``"usage_cost"`` is ``gen_ai.usage.cost``,
        ``"operation_cost"`` is ``operation.cost``, ``"openinference"`` is ``llm.cost.total``
    :param tags: which of a call's tags are told, as ``liter.tag.<name>``. ``gen_ai.conversation.id``,
        ``gen_ai.prompt.name`` and ``gen_ai.prompt.version`` always are
    :param route: make only a span that holds those of others further in together
    :param tracer_provider: instead of the global one; so are ``meter_provider`` and ``logger_provider``
    :raises ValueError: a value that makes no sense
    """

    __slots__ = ("__weakref__", "_observe", "_recorder", "settings")

    def __init__(
        self,
        *,
        semconv: Semconv = "compat",
        capture_content: Capture | bool | None = None,
        redact: "Redact | None" = None,
        details_event: bool | None = None,
        propagate: Propagate = "tracecontext",
        attempt_spans: bool = True,
        cache_write_key: CacheWriteKey = "cache_write",
        cost_conventions: Sequence[CostConvention] = ("usage_cost", "operation_cost"),
        tags: Sequence[str] = (),
        route: bool = False,
        tracer_provider: "TracerProvider | None" = None,
        meter_provider: "MeterProvider | None" = None,
        logger_provider: "LoggerProvider | None" = None,
    ) -> None:
        capture = captured(capture_content)
        self.settings: Settings = Settings(
            semconv=semconv,
            capture=capture,
            redact=redact,
            details_event=details_wanted(details_event, capture) and not route,
            exceptions=exception_signal(),
            propagate=propagate,
            attempt_spans=attempt_spans,
            cache_write_key=cache_write_key,
            cost_conventions=cost_conventions,
            tags=tags,
            route=route,
        )
        # OpenTelemetry takes 60 ms to import: only who traces pays for it.
        from ..telemetry._observation import observe
        from ..telemetry._recorder import Recorder

        self._observe: Observe = observe
        self._recorder = Recorder(self.settings, tracer_provider, meter_provider, logger_provider)

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        recorder = self._recorder
        return _Traced(self._observe, recorder, call, call_next) if recorder.active() else call_next(call)

    def __repr__(self) -> str:
        settings = self.settings
        told = [] if settings.semconv == "compat" else [f"semconv={settings.semconv!r}"]
        told += [] if settings.capture == "none" else [f"capture_content={settings.capture!r}"]
        told += ["route=True"] if settings.route else []
        return f"Tracing({', '.join(told)})"


class _Traced(Generic[R]):
    """The scope of a call that is recorded."""

    __slots__ = ("_call", "_call_next", "_observe", "_recorder", "_reply", "_scope", "_seen")

    def __init__(self, observe: "Observe", recorder: "Recorder", call: Call[R], call_next: Handler) -> None:
        self._observe = observe
        self._recorder = recorder
        self._call = call
        self._call_next = call_next
        self._seen: Observation | None = None
        self._reply: Reply[R] | None = None

    async def __aenter__(self) -> Reply[R]:
        self._seen = seen = self._observe(self._recorder, cast("Call[object]", self._call))
        if seen is None:
            self._scope = self._call_next(self._call)
            return await self._scope.__aenter__()
        try:
            # Attached and detached in this one frame. What layers further in do is below the call's span.
            with seen.current():
                self._scope = self._call_next(cast("Call[R]", seen.inward()))
                reply = await self._scope.__aenter__()
        except BaseException as error:
            seen.finish(None, error)
            raise
        seen.entered(cast("Reply[object]", reply))
        if reply.streamed:
            reply = reply.derive(events=_SeenEvents(reply, seen))
        self._reply = reply
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        raised: BaseException | None = None
        try:
            return await self._scope.__aexit__(kind, error, traceback)
        except BaseException as other:
            raised = None if other is error else other
            raise
        finally:
            self._finish(raised)

    def _finish(self, raised: BaseException | None, *, dropped: bool = False) -> None:
        seen, reply = self._seen, self._reply
        if seen is not None and reply is not None:
            ended_by = reply.error or (raised if isinstance(raised, Exception) else None)
            seen.finish(cast("Reply[object]", reply), ended_by, dropped=dropped or reply.dropped)

    def __del__(self) -> None:
        # Nobody has closed it, and nobody will: its loop may be over. A scope that was not entered has nothing to end.
        if getattr(self, "_reply", None) is not None:
            self._finish(None, dropped=True)


class _SeenEvents(Generic[R]):
    __slots__ = ("_seen", "_source")

    def __init__(self, source: Reply[R], seen: "Observation") -> None:
        self._source = source
        self._seen = seen

    async def __anext__(self) -> R:
        asked = self._seen.now()
        event = await self._source.__anext__()
        self._seen.chunk(event, asked)
        return event

    async def aclose(self) -> None:
        """Nothing of its own is open: the source belongs to the next handler's scope."""
