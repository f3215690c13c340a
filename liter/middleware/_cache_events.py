"""What a cache tells the listeners of a call."""

from typing import Literal

import msgspec

from .._contract import Call
from ..money import Cost
from ..stores import StoreError
from ..types import Usage


class CacheHit(msgspec.Struct, frozen=True, kw_only=True):
    """A call was answered without a request.

    :param call: the call
    :param saved: the tokens that the answer took when it was made, and that are not spent again; ``None`` is unknown
    :param saved_cost: what they cost, by the price book; ``None`` is unknown
    :param shared: whether it came from an identical call that was under way, not from the store
    :param similarity: of the question that was answered to this one, up to 1; ``None`` is an identical call's answer
    """

    call: Call[object]
    saved: Usage | None
    shared: bool
    similarity: float | None = None
    saved_cost: Cost | None = None


class CacheMiss(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a cache looked for has no answer there, and goes on.

    :param call: the call
    """

    call: Call[object]


class CacheStoreFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The store of a cache failed.

    :param call: the call that it failed for
    :param error: what happened
    :param doing: ``"get"``: the answer was not looked up; ``"put"``: it was not kept, or not
        listed for similar questions, which fails no call
    :param goes_on: whether the call goes on: false for a ``"get"`` with ``on_store_error="closed"``
    """

    call: Call[object]
    error: StoreError
    doing: Literal["get", "put"]
    goes_on: bool
