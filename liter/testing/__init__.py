"""Tools to test applications and layers with: public API, for users too."""

from ._check_layer import check_layer as check_layer
from ._check_layer_trial import LayerConformanceError as LayerConformanceError
from ._clock import VirtualTimeLoop as VirtualTimeLoop
from ._scripted import Outcome as Outcome
from ._scripted import ScriptedHandler as ScriptedHandler

__all__ = ["LayerConformanceError", "Outcome", "ScriptedHandler", "VirtualTimeLoop", "check_layer"]
