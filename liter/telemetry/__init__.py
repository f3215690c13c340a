"""OpenTelemetry: what :class:`liter.middleware.Tracing` records, and a set-up for those who have none."""

from ._configure import Telemetry as Telemetry
from ._configure import configure as configure

__all__ = ["Telemetry", "configure"]
