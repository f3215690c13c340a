"""What batches need of a client, beside its methods: routes, and requests encoded without being sent."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._options import CallOptions
from .._routing import RouteTable
from ..providers import WireProvider

if TYPE_CHECKING:
    from .._fetch import Fetcher

MakeCall = Callable[[str, str, msgspec.Struct, CallOptions], Call[object]]


class Caller:
    """Makes calls that are not sent.

    :param make: makes a call of an operation, a model as callers write it, a request and options
    """

    def __init__(self, routes: RouteTable, make: MakeCall, fetcher: "Fetcher | None") -> None:
        self.routes = routes
        self._make = make
        self._fetcher = fetcher

    async def encoded(self, operation: str, model: str, request: msgspec.Struct, options: CallOptions) -> bytes | None:
        """The JSON that a request would have as its body; ``None`` where it has files.

        :raises LlmError: the provider does not take it
        """
        call = self._make(operation, model, request, options)
        # It is not sent, so no credential belongs into it.
        call = replace(call, route=replace(call.route, api_key=None, credentials=None))
        provider = self.routes.provider(call.route.provider)
        if self._fetcher is not None and isinstance(provider, WireProvider):
            urls = provider.needs_inline(call)
            if urls:
                call = await self._fetcher.inline(call, urls)
        made = provider.encode(call)
        return made.body if made.upload is None else None
