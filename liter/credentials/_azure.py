"""Tokens of Microsoft Entra ID, by azure-identity: what stands for a caller at Azure without a key."""

import importlib
import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, cast

from .._errors import AuthenticationError
from .._secret import Secret
from ._refreshing import Fetched, Refreshing

# What a token is for, at Azure OpenAI and at Foundry alike; agents of Foundry take https://ai.azure.com/.default.
SCOPE = "https://cognitiveservices.azure.com/.default"


class AccessToken(Protocol):
    """A token as azure-identity gives it; ``expires_on`` is Unix time, in seconds."""

    @property
    def token(self) -> str: ...
    @property
    def expires_on(self) -> int: ...


class TokenCredential(Protocol):
    """One of azure-identity's credentials, not those of its ``aio`` package."""

    def get_token(self, *scopes: str) -> AccessToken:
        """Fetch a token. It blocks, so it is called in a thread."""
        ...


class AzureCredentials(Refreshing):
    """Entra ID's tokens, fetched by one of azure-identity's credentials in a thread of its own.

    :param credential: which; by default ``DefaultAzureCredential()``: environment, workload identity, managed
        identity, and the login of developers' tools
    :param scope: what the tokens are for
    :param now: the wall clock
    :raises ImportError: no credential was given, and azure-identity is not installed
    """

    def __init__(
        self,
        credential: TokenCredential | None = None,
        *,
        scope: str = SCOPE,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(now=now)
        if not scope:
            raise ValueError(f"scope must name what tokens are for, such as {SCOPE!r}")
        if credential is None and not is_installed():
            raise ImportError("azure-identity is not installed: pip install 'liter-sdk[azure]', or pass a credential")
        self._credential = credential
        self._scope = scope

    def fetch_blocking(self) -> Fetched:
        """Fetch a token."""
        credential = self._credential
        if credential is None:
            # By name, as it has to be there only for those who use it.
            identity = importlib.import_module("azure.identity")
            make = cast("Callable[[], TokenCredential]", identity.DefaultAzureCredential)
            credential = self._credential = make()
        try:
            token = credential.get_token(self._scope)
        except Exception as error:
            # Its message goes on with what each of its sources said.
            told = str(error).partition("\n")[0]
            raise AuthenticationError(
                "Entra ID gave no token, and there is no key: looked for the provider's variables"
                f" (AZURE_OPENAI_API_KEY, AZURE_API_KEY), then asked azure-identity ({type(error).__name__}: {told})"
            ) from error
        return Fetched(credential=Secret(token.token), expires=datetime.fromtimestamp(token.expires_on, UTC))


def is_installed() -> bool:
    """Whether azure-identity is there."""
    try:
        return importlib.util.find_spec("azure.identity") is not None
    except ModuleNotFoundError:
        return False
