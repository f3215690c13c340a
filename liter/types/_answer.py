"""The facts of an answer, which travel beside its content."""

from typing import TYPE_CHECKING, Self

import msgspec

from .._http import Headers

if TYPE_CHECKING:
    from .._contract import Attempt
    from ..money import Cost

_NO_HEADERS = Headers()


class Answer:
    """Gives a reply the facts of the answer it came in.

    They are kept in the instance's ``__dict__``: not encoded, not compared, and left behind by copies.
    """

    __slots__ = ()

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request; ``None`` when it gave none."""
        request_id: str | None = vars(self).get("_request_id")
        return request_id

    @property
    def headers(self) -> Headers:
        """The response headers; empty before :meth:`attach`."""
        headers: Headers = vars(self).get("_headers", _NO_HEADERS)
        return headers

    @property
    def raw(self) -> bytes:
        """The body as it came; empty for a reply that was not decoded from one body."""
        raw: bytes = vars(self).get("_raw", b"")
        return raw

    @property
    def attempts(self) -> "tuple[Attempt, ...]":
        """What was tried for this reply, oldest first; the last one succeeded."""
        attempts: tuple[Attempt, ...] = vars(self).get("_attempts", ())
        return attempts

    @property
    def cost(self) -> "Cost | None":
        """What the call cost, all its attempts together; ``None`` is unknown, never zero."""
        cost: Cost | None = vars(self).get("_cost")
        return cost

    @property
    def saved(self) -> "Cost | None":
        """Out of a cache, what it cost when it was made, and now did not; ``None`` is unknown, or no hit."""
        saved: Cost | None = vars(self).get("_saved")
        return saved

    @property
    def origin(self) -> str:
        """Who made it: ``"provider"``, or the layer that answered in its place, as ``"cache"``."""
        origin: str = self.__dict__.get("_origin", "provider")
        return origin

    def attach(
        self,
        *,
        request_id: str | None,
        headers: Headers,
        raw: bytes,
        attempts: "tuple[Attempt, ...]" = (),
        request: msgspec.Struct | None = None,
        origin: str = "provider",
        cost: "Cost | None" = None,
        saved: "Cost | None" = None,
    ) -> Self:
        """Attach the facts of the answer, and return the reply itself.

        :param request: what was asked, for replies whose reading depends on it
        """
        vars(self).update(
            _request_id=request_id,
            _headers=headers,
            _raw=raw,
            _attempts=attempts,
            _origin=origin,
            _cost=cost,
            _saved=saved,
        )
        return self
