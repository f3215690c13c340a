"""Access tokens of Google Cloud, by google-auth: what stands for a caller at Vertex AI."""

import functools
import importlib
import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

from .._errors import AuthenticationError, NetworkError
from .._secret import Secret
from ._refreshing import Fetched, Refreshing

SCOPE = "https://www.googleapis.com/auth/cloud-platform"

# google-auth waits for two minutes, which is longer than a caller whose token comes from next door should.
_SECONDS = 30.0

# How files of the two usual kinds are read; google-auth's reader of any kind is deprecated.
_READERS = {
    "service_account": ("google.oauth2.service_account", "from_service_account_info"),
    "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
}


class GoogleToken(Protocol):
    """One of google-auth's credentials; ``expiry`` is UTC without a time zone."""

    @property
    def token(self) -> object: ...
    @property
    def expiry(self) -> datetime | None: ...

    def refresh(self, request: object) -> object:
        """Fetch a token. It blocks, so it is called in a thread."""
        ...


class GoogleCredentials(Refreshing):
    """Google's access tokens, fetched by google-auth in a thread of its own.

    By default it looks where Google's own libraries do: the file that GOOGLE_APPLICATION_CREDENTIALS names (a service
    account, a user, a workload of another cloud), gcloud's application default login, the metadata server of the
    machine.

    :param source: a service account's or a user's file, its content, or one of google-auth's credentials
    :param scope: what the tokens are for
    :param request: google-auth's transport, by default that of ``google.auth.transport.requests``
    :param now: the wall clock
    :raises ImportError: google-auth is not installed, and no credentials of its were given
    """

    def __init__(
        self,
        source: "str | os.PathLike[str] | Mapping[str, object] | GoogleToken | None" = None,
        *,
        scope: str = SCOPE,
        request: Callable[..., object] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(now=now)
        if not scope:
            raise ValueError(f"scope must name what tokens are for, such as {SCOPE!r}")
        is_ready = source is not None and not isinstance(source, str | os.PathLike | Mapping)
        if not (is_ready and request is not None) and not _installed():
            raise ImportError("google-auth is not installed: pip install 'liter-sdk[vertex]'")
        self._source = source
        self._scope = scope
        self._request = request
        self._credentials: GoogleToken | None = cast("GoogleToken", source) if is_ready else None

    def fetch_blocking(self) -> Fetched:
        """Fetch a token.

        :raises AuthenticationError: there are no credentials, or Google refuses them
        :raises NetworkError: Google cannot be reached
        """
        if self._request is None:
            # By name, as it has to be there only for those who use it.
            transport = importlib.import_module("google.auth.transport.requests")
            self._request = functools.partial(
                cast("Callable[[], Callable[..., object]]", transport.Request)(), timeout=_SECONDS
            )
        try:
            if self._credentials is None:
                self._credentials = self._found()
            self._credentials.refresh(self._request)
        except Exception as error:
            kind = type(error).__name__
            if kind == "TransportError" or getattr(error, "retryable", False):
                raise NetworkError(f"no access token of Google's: {error}") from error
            if kind == "DefaultCredentialsError":
                raise AuthenticationError(
                    "no credentials of Google's: looked for the file that GOOGLE_APPLICATION_CREDENTIALS names, the"
                    " login of 'gcloud auth application-default login', and a metadata server; set the one, run the"
                    f" other, or pass GoogleCredentials(file) ({error})"
                ) from error
            if kind == "RefreshError":
                raise AuthenticationError(f"Google gives no access token for these credentials: {error}") from error
            raise
        token, expiry = self._credentials.token, self._credentials.expiry
        if not isinstance(token, str) or not token:
            raise AuthenticationError("Google's credentials gave no access token")
        return Fetched(credential=Secret(token), expires=None if expiry is None else expiry.replace(tzinfo=UTC))

    def _found(self) -> GoogleToken:
        source = self._source
        if source is None:
            auth = importlib.import_module("google.auth")
            find = cast("Callable[..., tuple[GoogleToken, str | None]]", auth.default)
            return find(scopes=[self._scope], request=self._request)[0]
        info = source if isinstance(source, Mapping) else _read(cast("str", source))
        kind = str(info.get("type"))
        if kind not in _READERS:
            raise AuthenticationError(
                f"Google's credentials are of the type {kind!r}; those of {' and '.join(_READERS)} are read here: name"
                " the file of another by GOOGLE_APPLICATION_CREDENTIALS, or pass google-auth's own credentials"
            )
        module, reader = _READERS[kind]
        made = getattr(importlib.import_module(module).Credentials, reader)(info, scopes=[self._scope])
        return cast("GoogleToken", made)


def _read(path: str | os.PathLike[str]) -> Mapping[str, object]:
    try:
        told: object = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise AuthenticationError(f"the file of Google's credentials cannot be read: {error}") from error
    except ValueError as error:
        raise AuthenticationError(f"the file {os.fspath(path)!r} is no JSON, as Google's credentials are") from error
    return cast("Mapping[str, object]", told) if isinstance(told, dict) else {}


def _installed() -> bool:
    try:
        return importlib.util.find_spec("google.auth") is not None
    except ModuleNotFoundError:
        return False
