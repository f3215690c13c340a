"""A key from the environment."""

import os
from collections.abc import Mapping

from .._credentials import Signer
from .._errors import AuthenticationError
from .._key import checked_key
from .._secret import Secret


class FromEnvironment:
    """A key from the first of several environment variables that is set, looked up for each request.

    :param names: of the variables, in order of preference
    """

    def __init__(self, *names: str, environ: Mapping[str, str] = os.environ) -> None:
        if not names:
            raise ValueError("names: give at least one environment variable")
        self._names = names
        self._environ = environ

    async def get(self) -> Secret | Signer:
        """The key. :raises AuthenticationError: none of the variables is set, or one holds what is no key"""
        for name in self._names:
            if text := self._environ.get(name):
                return checked_key(text, f"the environment variable {name}")
        raise AuthenticationError(f"no key: set the environment variable {' or '.join(self._names)}")

    def refused(self, credential: Secret | Signer) -> bool:
        """The variables may have changed since."""
        return True

    def __repr__(self) -> str:
        return f"FromEnvironment({', '.join(map(repr, self._names))})"
