"""Several credentials for one provider: the next one is used when the one in use is refused."""

import threading
from collections.abc import Sequence

from .._credentials import CredentialSource, RenewableSource, Signer
from .._errors import AuthenticationError
from .._key import check_key
from .._secret import Secret


class Rotation:
    """The first credential is used until the provider refuses it, then the next, and after the last the first again.

    A call that meets a refused key is sent again at once with the next one; each is tried once at most in an attempt.
    All calls of a client that share the rotation move on together.

    :param credentials: keys, or sources of them, in order of preference
    """

    def __init__(self, credentials: Sequence[str | Secret | CredentialSource]) -> None:
        if not credentials:
            raise ValueError("credentials: give at least one")
        self._credentials = tuple(
            check_key(credential, f"credentials[{index}]") if isinstance(credential, str | Secret) else credential
            for index, credential in enumerate(credentials)
        )
        self._lock = threading.Lock()
        self._current = 0
        self._given: list[Secret | Signer | None] = [None] * len(self._credentials)

    async def get(self) -> Secret | Signer | None:
        """The credential in use, or the next one where its source has none.

        :raises AuthenticationError: no source has one
        """
        first, missing = self._current, AuthenticationError("no key")
        for step in range(len(self._credentials)):
            index = (first + step) % len(self._credentials)
            source = self._credentials[index]
            try:
                given = source if isinstance(source, Secret) else await source.get()
            except AuthenticationError as error:
                missing = error
                continue
            self._given[index] = given
            if step:
                self._move(first, index)
            return given
        raise missing

    def _move(self, old: int, new: int) -> None:
        with self._lock:
            if self._current == old:
                self._current = new

    def refused(self, credential: Secret | Signer) -> bool:
        """The provider refused one: move on, unless its own source has a newer one, or another call moved on before."""
        with self._lock:
            if credential not in self._given:
                return True
            index = self._given.index(credential)
            if index != self._current:
                return True
            source = self._credentials[index]
            if len(self._credentials) == 1:
                return isinstance(source, RenewableSource) and source.refused(credential)
            if isinstance(source, RenewableSource):
                source.refused(credential)
            self._current = (index + 1) % len(self._credentials)
            return True

    def __repr__(self) -> str:
        return f"Rotation(<{len(self._credentials)} credentials, number {self._current + 1} in use>)"
