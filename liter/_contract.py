"""The layer contract: a layer is an async context manager around one reply.

A handler takes a call and gives an async context manager of its reply. Calling it opens nothing,
entering it does. A layer is a handler that is also given the next one. From this follows all the rest:

1. Entering means there is something to show: a whole reply, or a stream's first meaningful event.
   What entering raises may be retried; nothing after it may.
2. ``except`` only around the entering. After the ``yield`` only ``finally``: what is thrown in there
   may be the consumer's own. How the reply ended is asked of the reply.
3. No task group, cancel scope or context variable token is held across the ``yield``: a stream may be
   opened in one task and closed in another. A deadline is data on the call.
4. State shared by calls in fields, state of one call in locals.
5. Cleanup is synchronous, or shielded with a bound.
6. A stream is a class with ``__anext__`` and ``aclose``. Events are watched with a tap.
7. Position is meaning: outside ``Retry`` a layer sees calls, inside it attempts.
"""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from types import FunctionType
from typing import Protocol, TypeVar

from ._call import Attempt as Attempt
from ._call import AttemptGate as AttemptGate
from ._call import AttemptWatcher as AttemptWatcher
from ._call import Call as Call
from ._call import Listener as Listener
from ._call import Route as Route
from ._call import Timeouts as Timeouts
from ._credentials import CredentialSource as CredentialSource
from ._credentials import RenewableSource as RenewableSource
from ._credentials import Signer as Signer
from ._reply import Events as Events
from ._reply import Reply as Reply

R = TypeVar("R")


class Handler(Protocol):
    """Calling it opens nothing; entering what it returns does."""

    def __call__(self, call: Call[R], /) -> AbstractAsyncContextManager[Reply[R]]: ...


class Layer(Protocol):
    """Write one as a frozen value, or as a function under ``@contextlib.asynccontextmanager``."""

    def __call__(self, call: Call[R], call_next: Handler, /) -> AbstractAsyncContextManager[Reply[R]]: ...


class Stack:
    """Layers folded over the innermost handler, outermost first; itself a handler."""

    __slots__ = ("_outermost", "innermost", "layers")

    def __init__(self, layers: Iterable[Layer], innermost: Handler) -> None:
        self.layers: tuple[Layer, ...] = tuple(layers)
        self.innermost: Handler = innermost
        outermost = innermost
        for layer in reversed(self.layers):
            outermost = _link(layer, outermost)
        self._outermost = outermost

    def __call__(self, call: Call[R], /) -> AbstractAsyncContextManager[Reply[R]]:
        return self._outermost(call)

    def __repr__(self) -> str:
        return " > ".join([*(_name(layer) for layer in self.layers), _name(self.innermost)])


def _link(layer: Layer, call_next: Handler) -> Handler:
    # A function, and a method that is bound already: the interpreter enters an object's __call__ by a detour.
    enter: Layer = layer if isinstance(layer, FunctionType) else layer.__call__

    def link(call: Call[R], /) -> AbstractAsyncContextManager[Reply[R]]:
        return enter(call, call_next)

    return link


def _name(part: object) -> str:
    name = getattr(part, "__name__", None)
    return name if isinstance(name, str) else repr(part)
