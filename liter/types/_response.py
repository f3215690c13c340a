"""What every reply of a provider has in common."""

from typing import Self

import msgspec

from .._http import Headers

_NO_HEADERS = Headers()


class ApiResponse(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The base of all replies.

    The facts of the answer travel beside the fields, in the instance's ``__dict__``: they are not
    encoded, not compared, and ``msgspec.structs.replace`` leaves them behind.
    """

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request; ``None`` when it gave none."""
        request_id: str | None = self.__dict__.get("_request_id")
        return request_id

    @property
    def headers(self) -> Headers:
        """The response headers; empty before :meth:`attach`."""
        headers: Headers = self.__dict__.get("_headers", _NO_HEADERS)
        return headers

    @property
    def raw(self) -> bytes:
        """The body as it came; empty for a reply that was not decoded from one body."""
        raw: bytes = self.__dict__.get("_raw", b"")
        return raw

    def attach(self, *, request_id: str | None, headers: Headers, raw: bytes) -> Self:
        """Attach the facts of the answer, and return the reply itself."""
        self.__dict__.update(_request_id=request_id, _headers=headers, _raw=raw)
        return self
