"""What telemetry records, and how: from arguments, and from the standard environment variables where none is given."""

import os
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from . import _names as names
from ._content import Redact

Capture = Literal["none", "span", "event", "both"]
Propagate = Literal["tracecontext", "global", "off"]
CostConvention = Literal["usage_cost", "operation_cost", "openinference"]
ExceptionSignal = Literal["span", "logs", "both"]

CAPTURE_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
EVENT_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"
EXCEPTION_VARIABLE: Final = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"

_CAPTURE: Final[Mapping[str, Capture]] = {
    "no_content": "none",
    "false": "none",
    "": "none",
    "span_only": "span",
    "true": "span",
    "event_only": "event",
    "span_and_event": "both",
}
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "semconv": ("compat", "latest", "dual"),
    "capture": ("none", "span", "event", "both"),
    "propagate": ("tracecontext", "global", "off"),
    "cache_write_key": ("cache_write", "cache_creation"),
}
_CONVENTIONS: Final = ("usage_cost", "operation_cost", "openinference")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the parameters of :class:`liter.middleware.Tracing` come to. See there.

    :param details_event: whether each call is told as a log event, too
    :param exceptions: where an exception is told: as an event of the span, as a log event, or as both
    """

    semconv: names.Semconv
    capture: Capture
    redact: Redact | None
    details_event: bool
    exceptions: ExceptionSignal
    propagate: Propagate
    attempt_spans: bool
    cache_write_key: names.CacheWriteKey
    cost_conventions: Sequence[CostConvention]
    tags: Sequence[str]
    route: bool

    def __post_init__(self) -> None:
        for field, choices in _CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be one of {', '.join(choices)}, not {getattr(self, field)!r}")
        for convention in self.cost_conventions:
            if convention not in _CONVENTIONS:
                raise ValueError(f"cost_conventions has {convention!r}: it may have {', '.join(_CONVENTIONS)}")
        if isinstance(self.tags, str):
            raise ValueError(f"tags must be a list of the tags to record, not the one string {self.tags!r}")
        if self.redact is not None and not callable(self.redact):
            raise ValueError(f"redact must be a function of an attribute's name and value, not {self.redact!r}")


def captured(given: Capture | bool | None) -> Capture:
    """Return what content is recorded, from the argument or else from the environment.

    :raises ValueError: the environment variable has a value that nobody defined
    """
    if isinstance(given, bool):
        return "span" if given else "none"
    if given is not None:
        return given
    value = os.environ.get(CAPTURE_VARIABLE, "")
    try:
        return _CAPTURE[value.strip().lower()]
    except KeyError:
        raise ValueError(
            f"{CAPTURE_VARIABLE} must be NO_CONTENT, SPAN_ONLY, EVENT_ONLY or SPAN_AND_EVENT, not {value!r}"
        ) from None


def details_wanted(given: bool | None, capture: Capture) -> bool:
    """Return whether calls are told as log events, from the argument, the environment, or what is captured."""
    if given is not None:
        return given
    value = os.environ.get(EVENT_VARIABLE, "").strip().lower()
    return capture in ("event", "both") if value not in ("true", "false") else value == "true"


def exception_signal() -> ExceptionSignal:
    """Return where exceptions are told, from the environment."""
    chosen = {each.strip() for each in os.environ.get(EXCEPTION_VARIABLE, "").lower().split(",")}
    return "both" if "logs/dup" in chosen else "logs" if "logs" in chosen else "span"
