"""Lists that come in pages: awaiting gives the first page, iterating walks all of them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from typing import Generic, Protocol, TypeVar, cast

import msgspec
from msgspec.structs import replace

Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)


class Page(Protocol[Item_co]):
    """One page of a list."""

    @property
    def data(self) -> Sequence[Item_co]: ...

    @property
    def next_after(self) -> str | None:
        """What ``after`` must be for the page that follows; ``None`` on the last one."""
        ...


P = TypeVar("P")


class Pages(Generic[Item, P]):
    """A list of a provider's, not fetched yet.

    ``await client.list_files()`` gives the first page; ``async for file in client.list_files()`` walks all of them, a
    page at a time, as items are asked for. ``client.list_files().pages()`` gives the pages themselves.

    :param fetch: fetches one page
    :param request: asks for the first one; it has a field ``after``
    """

    def __init__(self, fetch: Callable[[msgspec.Struct], Awaitable[P]], request: msgspec.Struct) -> None:
        self._fetch = fetch
        self._request = request

    def __await__(self) -> Generator[object, object, P]:
        return self._fetch(self._request).__await__()

    def __aiter__(self) -> "Items[Item, P]":
        return Items(self.pages())

    def pages(self) -> "PageWalk[Item, P]":
        """Iterate over the pages, the first one included."""
        return PageWalk(self._fetch, self._request)

    def __repr__(self) -> str:
        return f"<Pages of {self._request!r}: await it for the first, iterate over it for all items>"


class PageWalk(AsyncIterator[P], Generic[Item, P]):
    """Iterates over the pages of a list. Each is fetched when it is asked for."""

    def __init__(self, fetch: Callable[[msgspec.Struct], Awaitable[P]], request: msgspec.Struct) -> None:
        self._fetch = fetch
        self._next: msgspec.Struct | None = request
        self._seen: set[str] = set()

    async def __anext__(self) -> P:
        request = self._next
        if request is None:
            raise StopAsyncIteration
        page = await self._fetch(request)
        after = cast("Page[Item]", page).next_after
        # A provider that gives the same page again would be walked for ever.
        self._next = None if after is None or after in self._seen else replace(request, after=after)
        if after is not None:
            self._seen.add(after)
        return page


class Items(AsyncIterator[Item], Generic[Item, P]):
    """Iterates over the items of all pages."""

    def __init__(self, pages: PageWalk[Item, P]) -> None:
        self._pages = pages
        self._ready: list[Item] = []

    async def __anext__(self) -> Item:
        while not self._ready:
            page = await self._pages.__anext__()
            self._ready = list(reversed(cast("Page[Item]", page).data))
        return self._ready.pop()
