"""Under which name an answer is kept: a hash of all that may change it."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import cast

import msgspec

from .._contract import Call
from ..types import format_of_type

# Raise it when what is kept, or what is hashed, changes its form: older entries are then not found.
_FORM = "liter:cache:1:"

# What is sent is the model of the route. The request has it as the caller wrote it, with a provider's prefix or
# without, and the call may have been sent elsewhere since.
_TOLD_BY_ROUTE = "model"

# ``Retry`` makes a new one for each call.
_NEVER_PART = frozenset({b"idempotency-key"})


class KeyMaker(msgspec.Struct, frozen=True, kw_only=True):
    """Makes the keys of calls. Two calls have the same one if nothing that is sent, and no tag, tells them apart.

    A key is SHA-256 over JSON with sorted names, so it is the same in every process. Left out is what is named
    here, and nothing else: a parameter that is new to liter is in it.

    :param tags: the tags that tell callers apart
    :param ignore: fields of the request that are left out
    :param ignore_headers: headers of the call that are left out, in lower case
    :param share_keys: whether the API key is left out, too
    """

    tags: tuple[str, ...]
    ignore: frozenset[str]
    ignore_headers: frozenset[bytes]
    share_keys: bool

    def key(self, call: Call[object]) -> str | None:
        """Make the key of a call; ``None`` when its request cannot be written as JSON."""
        request, route = call.request, call.route
        fields = {
            name: value
            for name in request.__struct_fields__
            if name != _TOLD_BY_ROUTE and name not in self.ignore and (value := getattr(request, name)) is not None
        }
        left_out = self.ignore_headers | _NEVER_PART
        whole = {
            "operation": call.operation,
            "stream": call.stream,
            "provider": route.provider,
            "model": route.model,
            "base_url": route.base_url,
            "account": None if self.share_keys else _fingerprint(call),
            "tags": {name: call.tags.get(name) for name in self.tags},
            # Sorted by name alone: the order of those with the same name has a meaning.
            "headers": sorted((pair for pair in call.headers if pair[0] not in left_out), key=lambda pair: pair[0]),
            "request": fields,
        }
        try:
            text = msgspec.json.encode(whole, enc_hook=_plain, order="sorted")
        except (TypeError, ValueError, OverflowError, RecursionError):
            return None
        return _FORM + hashlib.sha256(text).hexdigest()


def check_names(field: str, names: object, known: AbstractSet[str] | None = None) -> tuple[str, ...]:
    """Check a list of names. :raises ValueError: it is none, or has a name that is not known"""
    if isinstance(names, str | bytes) or not isinstance(names, Collection):
        raise ValueError(f"{field} must be a list of names, such as ({names!r},), not {type(names).__name__}")
    checked = tuple(cast("Collection[str]", names))
    for name in checked:
        if not isinstance(name, str) or not name:
            raise ValueError(f"{field} must be a list of names, and {name!r} is none")
        if known is not None and name not in known:
            raise ValueError(f"{field}: no request has a field {name!r} that could be left out")
    return checked


def _fingerprint(call: Call[object]) -> str | None:
    """Tell API keys apart, without the key."""
    key = call.route.api_key
    return None if key is None else hashlib.sha256(b"liter api key:" + key.reveal().encode()).hexdigest()


def _plain(value: object) -> object:
    """Turn what msgspec does not encode by itself into what does, as the providers' codecs would send it."""
    if isinstance(value, type):
        return format_of_type(value)
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    if isinstance(value, Sequence):
        return list(cast("Sequence[object]", value))
    raise TypeError(f"{type(value).__name__} is not JSON")
