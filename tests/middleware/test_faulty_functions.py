"""What a function of the application's raises, in a hook or a guardrail, in a stack with all kinds of limits."""

from collections.abc import Callable

import anyio
import pytest

from liter._contract import Layer
from liter.middleware import (
    Budget,
    Cache,
    Concurrency,
    Guardrails,
    Hedge,
    Hooks,
    Limit,
    RateLimit,
    Retry,
    Rule,
    SpendLimit,
)
from liter.testing import Simulator

from .._serving import serving


class Fault:
    """A function that raises the first time it is called, and gives nothing after that."""

    def __init__(self) -> None:
        self.error = RuntimeError("the application's own")
        self.called = 0

    def __call__(self, *_: object) -> None:
        self.called += 1
        if self.called == 1:
            raise self.error

    async def later(self, *_: object) -> None:
        await anyio.sleep(1.0)
        self()

    def spans(self, _: str) -> list[tuple[int, int]]:
        self()
        return []


WHERE: dict[str, Callable[[Fault], Layer]] = {
    "on_request": lambda fault: Hooks(on_request=fault),
    "on_request, later": lambda fault: Hooks(on_request=fault.later),
    "on_response": lambda fault: Hooks(on_response=fault),
    "on_response, later": lambda fault: Hooks(on_response=fault.later),
    "on_chunk": lambda fault: Hooks(on_chunk=fault),
    "on_chunk, later": lambda fault: Hooks(on_chunk=fault.later),
    "on_end": lambda fault: Hooks(on_end=fault),
    "a rule on input": lambda fault: Guardrails([Rule(fault.spans, action="block", on="input")]),
    "a rule on output": lambda fault: Guardrails([Rule(fault.spans, action="redact", on="output")]),
    "what a call costs at most": lambda fault: Budget(SpendLimit(1), bound=fault, output_tokens=10),
    "a limit of money": lambda fault: Budget(SpendLimit(fault), output_tokens=10),
}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("where", "stream"),
    # A whole reply has no chunks.
    [(where, stream) for where in WHERE for stream in (False, True) if stream or not where.startswith("on_chunk")],
)
async def test_it_fails_that_call_alone(where: str, stream: bool) -> None:
    """The exception reaches the caller as it is, nothing stays held or open, and the next call goes well."""
    fault, concurrency, cache = Fault(), Concurrency(1, max_wait=5.0), Cache()
    limits = RateLimit(Limit(1000, "requests"))
    provider = Simulator(reply="In the hills.")
    async with serving(
        provider, middleware=[WHERE[where](fault), cache, Retry(), Hedge(5.0), limits, concurrency]
    ) as client:

        async def ask(text: str) -> None:
            question = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
            if stream:
                async for _ in await client.chat_stream(**question):
                    pass
            else:
                await client.chat(**question)

        with pytest.raises(RuntimeError) as raised:
            await ask("first")
        assert raised.value is fault.error
        assert (concurrency.in_use, concurrency.waiting, limits.waiting, cache.under_way) == (0, 0, 0, 0)
        await anyio.sleep(1.0)  # until the provider has heard that the connection is closed
        assert provider.in_flight == 0
        await ask("second")
    assert fault.called >= 2
