"""What layers tell the listeners of a call, see :meth:`liter.Call.notify`."""

import msgspec

from ._contract import Call
from ._errors import LlmError


class Retrying(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt was refused, and another one follows after a wait.

    :param call: the attempt that was refused
    :param error: what it was refused with
    :param attempt: its number, from 1
    :param wait: seconds until the next one
    """

    call: Call[object]
    error: LlmError
    attempt: int
    wait: float
