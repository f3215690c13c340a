"""How a caller logs in where a plain key will not do, or where none was given: one source for each kind of provider."""

import os
from collections.abc import Callable, Mapping

from .._credentials import CredentialSource
from .._secret import Secret

Login = Callable[[Secret | None, Mapping[str, str]], CredentialSource | None]


def _azure(key: Secret | None, settings: Mapping[str, str]) -> CredentialSource | None:
    from ._azure import AzureCredentials, is_installed

    return AzureCredentials() if key is None and is_installed() else None


def _copilot(key: Secret | None, settings: Mapping[str, str]) -> CredentialSource | None:
    from ._copilot import CopilotCredentials

    return None if key is None else CopilotCredentials(key)


def _google(key: Secret | None, settings: Mapping[str, str]) -> CredentialSource | None:
    from ._google import GoogleCredentials

    return GoogleCredentials() if key is None else None


def _aws(key: Secret | None, settings: Mapping[str, str]) -> CredentialSource | None:
    from ._aws import AwsCredentials

    if key is not None:
        # One of Bedrock's own: it is sent as it is.
        return None
    profile = settings.get("profile")
    if profile == os.environ.get("AWS_PROFILE"):
        # Of the environment: keys there come before it, and botocore reads it by itself.
        profile = None
    return AwsCredentials(profile=profile, region=settings.get("region"))


# By the kind of authentication that the registry names. Given the key that was found, and the provider's settings.
_LOGINS: Mapping[str, Login] = {
    "azure": _azure,
    "copilot": _copilot,
    "google": _google,
    "sigv4": _aws,
}


def login_of(kind: str, key: Secret | None, settings: Mapping[str, str]) -> CredentialSource | None:
    """Make the source of credentials for a kind of authentication; ``None``: the key is all there is.

    :raises ImportError: it needs a library that is not installed
    """
    login = _LOGINS.get(kind)
    return None if login is None else login(key, settings)
