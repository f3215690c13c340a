"""The ledger: an append-only record of every attempt, and what it cost."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, as it ended.

    :param time: when it began, in seconds since 1970
    :param call: a name that all attempts of one call have in common
    :param attempt: its number within the call, from 1
    :param tags: the caller's labels
    :param outcome: ``"ok"``, ``"abandoned"``, ``"cancelled"``, or an error's class name
    :param seconds: how long it took; ``waited``: how long a layer slept before it
    :param cost: in 1e-12 US dollars, rounded up; ``None`` is unknown
    :param estimated: whether the cost is, in part, an estimate
    :param source: where the cost is from, see ``liter.money.Cost``
    :param prompt_tokens: as reported; ``None`` is unknown. Likewise ``completion_tokens``
    :param tokens: the same in classes that do not overlap, without those that are 0
    :param usage: all that was reported, as JSON: enough to price the attempt again
    """

    time: float
    call: str
    attempt: int
    operation: str
    provider: str
    model: str
    tags: Mapping[str, str] = {}
    outcome: str = "ok"
    status: int | None = None
    request_id: str | None = None
    seconds: float | None = None
    waited: float = 0.0
    cost: int | None = None
    estimated: bool = False
    source: str | None = None
    price_version: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens: Mapping[str, int] = {}
    usage: str | None = None


class LedgerStore(Protocol):
    """Where the rows go.

    :raises StoreError: from each method: the rows are not there, or not yet
    """

    async def append(self, rows: Sequence[LedgerRow], *, wait: bool = True) -> None:
        """Add rows. Returns when they would survive a crash; with ``wait=False`` when they will be written soon."""
        ...

    async def flush(self) -> None:
        """Write what was not waited for."""
        ...

    async def aclose(self) -> None:
        """Flush, and let go of files."""
        ...
