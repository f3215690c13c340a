"""What stands for a caller at a provider: a key, or something that signs requests; and where it comes from."""

from datetime import datetime
from typing import Protocol, runtime_checkable

from ._http import HttpRequest
from ._secret import Secret


class Signer(Protocol):
    """Signs whole requests, where a key in a header is not enough (AWS)."""

    def sign(self, request: HttpRequest, when: datetime, /) -> HttpRequest:
        """Return the request with its signature. ``when`` has a time zone.

        :raises LlmError: it cannot be signed; it is never sent unsigned
        """
        ...


class CredentialSource(Protocol):
    """Where a credential comes from, when it is not simply given: fetched, refreshed before it expires, rotated."""

    async def get(self) -> Secret | Signer | None:
        """Return the credential to use now; ``None``: there is none, and the provider may need none.

        Called right before each attempt, so an answer that is still good must come at once.

        :raises AuthenticationError: there is none, and one is needed; says where it was looked for
        """
        ...


@runtime_checkable
class RenewableSource(CredentialSource, Protocol):
    """A source that may have a better credential than the one that was refused: a newer one, or the next of several."""

    def refused(self, credential: Secret | Signer, /) -> bool:
        """The provider refused a credential that came from here: do not give it again, if there is a choice.

        Return whether ``get`` may give another one now. The request is then sent once more, unless it gives one that
        was refused already.
        """
        ...
