"""Keys as they are given: a text, a function that gives it, a source, or several of these to use in turn."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import cast

import msgspec

from ._credentials import CredentialSource, Signer
from ._errors import AuthenticationError
from ._secret import Secret


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A credential, and until when it is good; ``None`` is for ever."""

    credential: Secret | Signer
    expires: datetime | None = None


KeyFunction = Callable[[], str | Secret | Fetched | Awaitable[str | Secret | Fetched]]
OneKey = str | Secret | KeyFunction | CredentialSource
ApiKey = OneKey | Sequence[OneKey]


def check_key(api_key: str | Secret, field: str) -> Secret:
    """Wrap and check a key, before it can break a header.

    :raises ValueError: it is empty, or has blanks, line breaks or characters that are not ASCII
    """
    secret = api_key if isinstance(api_key, Secret) else Secret(api_key)
    text = secret.reveal()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{field} is empty, or has blanks, line breaks or non-ASCII characters in it: copied whole?")
    return secret


def checked_key(api_key: str | Secret, field: str) -> Secret:
    """As :func:`check_key`, for keys that are found while a call is under way.

    :raises AuthenticationError: it is empty, or has blanks, line breaks or characters that are not ASCII
    """
    try:
        return check_key(api_key, field)
    except ValueError as error:
        raise AuthenticationError(str(error)) from None


def key_or_source(given: ApiKey, field: str) -> Secret | CredentialSource:
    """Make one thing of whatever is given as a key: the key itself, or where to get it.

    :raises ValueError: it is none of these; or a key that cannot be one
    """
    if isinstance(given, str | Secret):
        return check_key(given, field)
    if hasattr(given, "get") and not isinstance(given, Mapping):
        return cast("CredentialSource", given)
    from .credentials import FromFunction, Rotation

    if isinstance(given, list | tuple) and given:
        keys = cast("Sequence[OneKey]", given)
        return Rotation([key_or_source(each, f"{field}[{index}]") for index, each in enumerate(keys)])
    function = cast("object", given)
    if callable(function):
        return FromFunction(cast("KeyFunction", function))
    # Not shown: bytes, for one, may hold the key.
    what = "an empty list" if isinstance(given, list | tuple) else type(function).__name__
    raise ValueError(f"{field} must be a key, a function that gives it, a source, or several of these, not {what}")
