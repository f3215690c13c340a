"""A call made and read, in one step."""

from liter import Call, Handler, Layer, LlmError, Stack
from liter.testing import ScriptedHandler


async def enter(layer: Layer | Stack, call: Call[object], handler: Handler | None = None) -> LlmError | None:
    """Make a call and read its reply. Returns what went wrong."""
    scope = layer(call) if isinstance(layer, Stack) else layer(call, handler or ScriptedHandler("whole"))
    try:
        async with scope as reply:
            if reply.streamed:
                async for _ in reply:
                    pass
    except LlmError as error:
        return error
    return None
