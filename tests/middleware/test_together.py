"""The layers of this package in one stack."""

from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import pytest

from liter._contract import Call, Handler, Layer, Stack
from liter._reply import Reply
from liter.middleware import Concurrency, Hooks, Retry
from liter.testing import check_layer

R = TypeVar("R")


class Together:
    """Several layers as one."""

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return Stack(self.layers, call_next)(call)


HOOKS = Hooks(
    on_request=lambda call: None,
    on_retry=lambda retrying: None,
    on_response=lambda call, reply: None,
    on_chunk=lambda call, chunk: None,
    on_error=lambda call, error: None,
    on_end=lambda call, reply: None,
)


@pytest.mark.parametrize("inside", [False, True], ids=["limit outside", "limit inside"])
def test_a_stack_keeps_the_contract(inside: bool) -> None:
    """Layers that keep the contract keep it together, in either order."""
    limit, retry = Concurrency(2), Retry()
    layers = (HOOKS, retry, limit, HOOKS) if inside else (limit, HOOKS, retry)
    check_layer(lambda: Together(*layers), may_repeat=True, in_use=lambda layer: limit.in_use)
    assert (limit.in_use, limit.waiting) == (0, 0)
