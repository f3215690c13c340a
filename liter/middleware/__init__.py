"""Layers, one to a file. Compose them with :class:`liter.Stack`, outermost first."""

from .._events import Retrying as Retrying
from ._concurrency import Concurrency as Concurrency
from ._hooks import Hooks as Hooks
from ._retry import Retry as Retry

__all__ = ["Concurrency", "Hooks", "Retry", "Retrying"]
