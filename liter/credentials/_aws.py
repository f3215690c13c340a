"""AWS's credentials for Bedrock: keys that are given, the environment's, or what botocore finds."""

import importlib
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol, cast

from .._credentials import Signer
from .._errors import AuthenticationError
from .._secret import Secret
from ._refreshing import Fetched, Refreshing
from ._sigv4 import AwsKeys, SigV4Signer

# botocore itself fetches what ends within ten minutes, so what it gives lasts longer than this; files that it
# read may have been changed since.
_LIFE = timedelta(minutes=5)

_BEARER = "AWS_BEARER_TOKEN_BEDROCK"
_KEY_ID, _KEY, _TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"  # their names
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


class FrozenKeys(Protocol):
    """Keys as botocore gives them, all three of one moment."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def token(self) -> str | None: ...


class ChainCredentials(Protocol):
    """What botocore found, and fetches again when it is about to end."""

    def get_frozen_credentials(self) -> FrozenKeys:
        """The keys of now. It may block, so it is called in a thread."""
        ...


class ChainSession(Protocol):
    """A session of botocore's; of boto3's, it is the attribute ``_session``."""

    def get_credentials(self) -> ChainCredentials | None:
        """Go through the chain. It may block, so it is called in a thread."""
        ...

    def get_config_variable(self, name: str, /) -> object:
        """Read a setting of the profile."""
        ...


class AwsCredentials(Refreshing):
    """Who calls AWS: keys that sign each request, or a key of Bedrock's own.

    The first of these counts: the keys given here; a ``profile`` or ``session`` given here; a Bedrock API key in
    ``AWS_BEARER_TOKEN_BEDROCK``; keys in ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY`` (with
    ``AWS_SESSION_TOKEN``); botocore's chain (roles, web identity, SSO, shared files, container, instance), which the
    extra ``bedrock`` installs. The environment is read for each request.

    :param access_key_id: keys to sign with, both or none
    :param session_token: comes with keys that are lent for a time
    :param profile: a profile of the shared files
    :param session: a session of botocore's to ask in place of a new one
    :param region: to sign for, where the address does not tell; by default ``AWS_REGION``, ``AWS_DEFAULT_REGION``, or
        the profile's
    :param service: the name that AWS signs under; by default that of the host
    :param now: the wall clock
    :raises ValueError: half of the keys, or keys beside a profile or session
    """

    def __init__(
        self,
        *,
        access_key_id: str | None = None,
        secret_access_key: str | Secret | None = None,
        session_token: str | Secret | None = None,
        profile: str | None = None,
        session: ChainSession | None = None,
        region: str | None = None,
        service: str | None = None,
        environ: Mapping[str, str] = os.environ,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(now=now)
        if (access_key_id is None) != (secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together: give both or none")
        if (access_key_id is not None) + (profile is not None) + (session is not None) > 1:
            raise ValueError("give one of keys, a profile and a session")
        self._keys = None
        if access_key_id is not None and secret_access_key is not None:
            self._keys = AwsKeys(
                access_key_id=access_key_id,
                secret_access_key=_secret(secret_access_key),
                session_token=None if session_token is None else _secret(session_token),
            )
        self._profile = profile
        self._session = session
        self._region = region
        self._service = service
        self._environ = environ

    async def get(self) -> Secret | Signer:
        """The credential to use now.

        :raises AuthenticationError: there is none; says where it was looked for
        """
        return self._at_hand() or await super().get()

    def refused(self, credential: Secret | Signer) -> bool:
        """AWS refused a credential: what is given stays the same, the environment may have changed."""
        at_hand = self._at_hand()
        return super().refused(credential) if at_hand is None else at_hand != credential

    def fetch_blocking(self) -> Fetched:
        """Go through botocore's chain."""
        session = self._session or self._new_session()
        found = session.get_credentials()
        if found is None:
            raise AuthenticationError(f"no AWS credentials: {self._looked()}, and botocore's chain found none")
        frozen = found.get_frozen_credentials()
        keys = AwsKeys(
            access_key_id=frozen.access_key,
            secret_access_key=Secret(frozen.secret_key),
            session_token=Secret(frozen.token) if frozen.token else None,
        )
        region = session.get_config_variable("region")
        if hasattr(found, "refresh_needed"):
            # It knows when to fetch again; the others are read once, and must be found anew.
            self._session = session
        return Fetched(
            credential=self._signer(keys, region if isinstance(region, str) else None), expires=self._now() + _LIFE
        )

    def _at_hand(self) -> Secret | Signer | None:
        """What needs no fetching."""
        if self._keys is not None:
            return self._signer(self._keys)
        if self._profile is not None or self._session is not None:
            return None
        environ = self._environ
        if token := environ.get(_BEARER):
            return Secret(token)
        key_id, key = environ.get(_KEY_ID), environ.get(_KEY)
        if not key_id and not key:
            return None
        if not key_id or not key:
            missing, there = (_KEY, _KEY_ID) if key_id else (_KEY_ID, _KEY)
            raise AuthenticationError(f"no AWS credentials: {there} is set, and {missing} is not")
        token = environ.get(_TOKEN)
        try:
            keys = AwsKeys(
                access_key_id=key_id,
                secret_access_key=Secret(key),
                session_token=Secret(token) if token else None,
            )
        except ValueError as error:
            raise AuthenticationError(f"AWS credentials of the environment: {error}") from None
        return self._signer(keys)

    def _signer(self, keys: AwsKeys, of_profile: str | None = None) -> SigV4Signer:
        of_environment = next((text for name in _REGIONS if (text := self._environ.get(name))), None)
        return SigV4Signer(keys=keys, region=self._region or of_environment or of_profile, service=self._service)

    def _new_session(self) -> ChainSession:
        try:
            # By name, as it has to be there only for those who use it.
            botocore = importlib.import_module("botocore.session")
        except ModuleNotFoundError:
            raise AuthenticationError(
                f"no AWS credentials: {self._looked()}; for profiles, roles, SSO and the credentials of containers and"
                f" instances, pip install 'liter-sdk[bedrock]'"
            ) from None
        return cast("Callable[..., ChainSession]", botocore.Session)(profile=self._profile)

    def _looked(self) -> str:
        if self._profile is not None:
            return f"looked for the profile {self._profile!r}"
        if self._session is not None:
            return "looked in the session"
        return f"looked for {_BEARER}, and for {_KEY_ID} and {_KEY}"

    def __repr__(self) -> str:
        of = f"profile={self._profile!r}" if self._profile is not None else ""
        return f"AwsCredentials({of})"


def _secret(text: str | Secret) -> Secret:
    return text if isinstance(text, Secret) else Secret(text)
