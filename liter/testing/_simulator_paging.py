"""Lists in pages, as OpenAI and Anthropic cut them."""

from collections.abc import Sequence
from urllib.parse import parse_qs

from ._wire_protocol import Refusal

JsonObject = dict[str, object]


def page_of(
    items: Sequence[JsonObject], query: str, *, limit: int, after: str = "after", newest_first: bool = True
) -> JsonObject:
    """The page of a list that a query asks for.

    :param items: all there are, oldest first
    :param limit: the length of a page, where the query does not tell one
    :param after: the parameter that names the item which the page follows
    :param newest_first: the order, where the query does not tell one
    :raises Refusal: there is no item that the page should follow
    """
    asked = {name: values[0] for name, values in parse_qs(query).items()}
    left = list(items)
    if asked.get("order", "desc" if newest_first else "asc") == "desc":
        left.reverse()
    if after in asked:
        ids = [item["id"] for item in left]
        if asked[after] not in ids:
            raise Refusal(400, f"There is nothing with the id {asked[after]}.", param=after)
        left = left[ids.index(asked[after]) + 1 :]
    length = int(asked.get("limit", limit))
    page = left[:length]
    return {
        "data": page,
        "has_more": len(left) > length,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }
