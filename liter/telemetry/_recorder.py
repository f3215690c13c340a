"""What all calls under one ``Tracing`` share: tracer, instruments, logger, and the first fault of theirs.

This module and ``_observation`` import OpenTelemetry, which takes 60 ms: only who makes a ``Tracing`` pays for it.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from opentelemetry import metrics, trace
from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .._version import __version__
from . import _names as names
from ._instruments import Instruments
from ._settings import Settings

if TYPE_CHECKING:
    from opentelemetry._logs import Logger, LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator

P = ParamSpec("P")
T = TypeVar("T")

_logger = logging.getLogger("liter")
_NO_TRACES = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)


class Recorder:
    """Gives each call its :class:`~liter.telemetry._observation.Observation`. It serves all loops and threads.

    Without providers it takes the global ones, also those that are set after it was made.
    """

    __slots__ = (
        "_always",
        "_complained",
        "_no_metrics",
        "_trace_context",
        "instruments",
        "logger",
        "settings",
        "tracer",
    )

    def __init__(
        self,
        settings: Settings,
        tracer_provider: "trace.TracerProvider | None" = None,
        meter_provider: "metrics.MeterProvider | None" = None,
        logger_provider: "LoggerProvider | None" = None,
    ) -> None:
        self.settings = settings
        self._complained = False
        self._always = any(given is not None for given in (tracer_provider, meter_provider, logger_provider))
        # The global one of nobody's is a proxy, whose class is not public.
        unset = type(metrics.get_meter_provider())
        self._no_metrics = (
            (unset, metrics.NoOpMeterProvider) if unset.__name__.startswith("_Proxy") else (metrics.NoOpMeterProvider,)
        )
        self.tracer = trace.get_tracer(names.SCOPE, __version__, tracer_provider, names.SCHEMA_URL)
        meter = metrics.get_meter(names.SCOPE, __version__, meter_provider, names.SCHEMA_URL)
        self.instruments = Instruments(meter, settings.semconv)
        self.logger = self._make_logger(logger_provider)
        self._trace_context = TraceContextTextMapPropagator()

    @property
    def propagator(self) -> "TextMapPropagator | None":
        """What writes the headers of requests; the application may set the global one at any time."""
        if self.settings.propagate == "global":
            return get_global_textmap()
        return self._trace_context if self.settings.propagate == "tracecontext" else None

    def _make_logger(self, provider: "LoggerProvider | None") -> "Logger | None":
        if not self.settings.details_event and self.settings.exceptions == "span":
            return None
        from opentelemetry._logs import get_logger

        return get_logger(names.SCOPE, __version__, provider, names.SCHEMA_URL)

    def active(self) -> bool:
        """Whether anybody may see what is recorded: else a call goes on as if this were not there."""
        return (
            self._always
            or not isinstance(trace.get_tracer_provider(), _NO_TRACES)
            or not isinstance(metrics.get_meter_provider(), self._no_metrics)
            or self.logger is not None
            # Without any provider a trace context from outside is passed on all the same.
            or trace.get_current_span().get_span_context().is_valid
        )

    def complain(self, error: Exception) -> None:
        """Tell of a fault of telemetry's own, once: it never reaches a caller, and must not flood the log."""
        if not self._complained:
            self._complained = True
            _logger.warning("telemetry failed, and will not say so again; calls go on", exc_info=error)


def with_span(context: "Context", span: "trace.Span | None") -> "Context":
    """Put a span into a context. One of nobody's stays out: what came from outside is passed on in its place."""
    if span is None or not span.get_span_context().is_valid:
        return context
    return trace.set_span_in_context(span, context)


class Recording(Protocol):
    """What has a recorder."""

    @property
    def recorder(self) -> Recorder: ...


S = TypeVar("S", bound=Recording)


def quiet(
    method: "Callable[Concatenate[S, P], T]",
) -> "Callable[Concatenate[S, P], T | None]":
    """Let what a method raises end in the log of its ``recorder``."""

    @wraps(method)
    def safe(self: S, /, *args: P.args, **keywords: P.kwargs) -> T | None:
        try:
            return method(self, *args, **keywords)
        except Exception as error:  # noqa: BLE001 # whatever processors, exporters and hooks raise
            self.recorder.complain(error)
            return None

    return safe
