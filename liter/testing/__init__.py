"""Tools to test applications and layers with: public API, for users too."""

from ._check_layer import check_layer as check_layer
from ._check_layer_trial import LayerConformanceError as LayerConformanceError
from ._check_provider import check_provider as check_provider
from ._check_provider_sample import ProviderConformanceError as ProviderConformanceError
from ._check_provider_sample import WireSample as WireSample
from ._check_store import check_store as check_store
from ._check_store_trial import StoreConformanceError as StoreConformanceError
from ._clock import VirtualTimeLoop as VirtualTimeLoop
from ._faults import FAULTS as FAULTS
from ._faults import CloseAfterEvents as CloseAfterEvents
from ._faults import CloseBeforeHead as CloseBeforeHead
from ._faults import Comments as Comments
from ._faults import ErrorEvent as ErrorEvent
from ._faults import Fault as Fault
from ._faults import HtmlPage as HtmlPage
from ._faults import LineEndings as LineEndings
from ._faults import MalformedJson as MalformedJson
from ._faults import Oversize as Oversize
from ._faults import Refuse as Refuse
from ._faults import ResetAfterEvents as ResetAfterEvents
from ._faults import ResetBeforeHead as ResetBeforeHead
from ._faults import ResetInHead as ResetInHead
from ._faults import SlowBytes as SlowBytes
from ._faults import StallAfterEvents as StallAfterEvents
from ._faults import StallBeforeHead as StallBeforeHead
from ._faults import Truncate as Truncate
from ._network import MemoryListener as MemoryListener
from ._network import MemoryNetwork as MemoryNetwork
from ._network_stream import MemoryStream as MemoryStream
from ._network_stream import memory_stream_pair as memory_stream_pair
from ._request_limit import RequestLimit as RequestLimit
from ._scripted import Outcome as Outcome
from ._scripted import ScriptedHandler as ScriptedHandler
from ._simulator import Simulator as Simulator
from ._simulator import SimulatorServer as SimulatorServer
from ._simulator_exchange import ReceivedRequest as ReceivedRequest
from ._simulator_model import ModelReply as ModelReply
from ._simulator_model import ToolCall as ToolCall

__all__ = [
    "FAULTS",
    "CloseAfterEvents",
    "CloseBeforeHead",
    "Comments",
    "ErrorEvent",
    "Fault",
    "HtmlPage",
    "LayerConformanceError",
    "LineEndings",
    "MalformedJson",
    "MemoryListener",
    "MemoryNetwork",
    "MemoryStream",
    "ModelReply",
    "Outcome",
    "Oversize",
    "ProviderConformanceError",
    "ReceivedRequest",
    "Refuse",
    "RequestLimit",
    "ResetAfterEvents",
    "ResetBeforeHead",
    "ResetInHead",
    "ScriptedHandler",
    "Simulator",
    "SimulatorServer",
    "SlowBytes",
    "StallAfterEvents",
    "StallBeforeHead",
    "StoreConformanceError",
    "ToolCall",
    "Truncate",
    "VirtualTimeLoop",
    "WireSample",
    "check_layer",
    "check_provider",
    "check_store",
    "memory_stream_pair",
]
