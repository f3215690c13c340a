"""What the tests of all layers share."""

from collections.abc import Callable

import anyio
import msgspec
import pytest

from liter._contract import Call, Route


class Question(msgspec.Struct, frozen=True):
    """A request of the tests' own."""

    text: str = "?"


@pytest.fixture
def make_call() -> Callable[..., Call[object]]:
    """Makes a call that begins now; takes any field of ``Call``."""

    def make(**fields: object) -> Call[object]:
        call: Call[object] = Call(
            operation="chat",
            request=Question(),
            route=Route(provider="scripted", model="scripted", base_url="https://scripted.invalid"),
            started=anyio.current_time(),
            attempts=[],
        )
        return msgspec.structs.replace(call, **fields)

    return make
