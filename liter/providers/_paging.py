"""Lists that come in pages: the query for one, in each provider's words, and the page."""

from typing import Generic, Protocol, TypeVar
from urllib.parse import urlencode

import msgspec

from .._contract import Call


class Named(Protocol):
    """What has an id."""

    id: str


T = TypeVar("T", bound=Named)


class Page(msgspec.Struct, Generic[T]):
    """A page as OpenAI and Anthropic have it."""

    data: list[T]
    has_more: bool = False
    last_id: str | None = None

    @property
    def next_after(self) -> str | None:
        """The id after which the next page begins; ``None`` if there is none."""
        if not self.has_more:
            return None
        return self.last_id or (self.data[-1].id if self.data else None)


def query_of(**fields: object) -> str:
    """A query of the fields that are not ``None``, percent-encoded, with its question mark; nothing without any."""
    told = {name: value for name, value in fields.items() if value is not None}
    return f"?{urlencode(told)}" if told else ""


def page_query(call: Call[object], *, limit: str, most: int, after: str) -> str:
    """The query for the page that a request asks for, percent-encoded, with its question mark.

    :param limit: what the provider calls the size of a page, and ``most`` the largest there is, asked for by default
    :param after: what it calls the place where the page begins
    """
    size, place = getattr(call.request, "limit", None), getattr(call.request, "after", None)
    return query_of(**{limit: size or most, after: place})
