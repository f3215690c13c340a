"""Tools to test applications and layers with: public API, for users too."""

from ._clock import VirtualTimeLoop as VirtualTimeLoop

__all__ = ["VirtualTimeLoop"]
