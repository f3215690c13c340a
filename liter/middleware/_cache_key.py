"""Under which name an answer is kept: a hash of all that may change it."""

import hashlib
import os
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from operator import attrgetter
from typing import cast

import msgspec

from .._contract import Call, CredentialSource
from ..types import File, format_of_type

# Raise it when what is kept, or what is hashed, changes its form: older entries are then not found.
_FORM = "liter:cache:4:"

# What is sent is the model of the route. The request has it as the caller wrote it, with a provider's prefix or
# without, and the call may have been sent elsewhere since.
_TOLD_BY_ROUTE = "model"

# ``Retry`` makes a new one for each call.
_NEVER_PART = frozenset({b"idempotency-key"})


class KeyMaker(msgspec.Struct, frozen=True, kw_only=True):
    """Makes the keys of calls. Two calls have the same one if nothing that is sent, and no tag, tells them apart.

    A key is SHA-256 over JSON, in which the names of mappings are sorted, so it is the same in every process. Left out
    is what is named here, and nothing else: a parameter that is new to liter is in it.

    :param tags: the tags that tell callers apart
    :param ignore: fields of the request that are left out
    :param ignore_headers: headers of the call that are left out, in lower case
    :param share_keys: whether the API key, or the source that it comes from, is left out, too
    """

    tags: tuple[str, ...]
    ignore: frozenset[str]
    ignore_headers: frozenset[bytes]
    share_keys: bool

    def key(self, call: Call[object]) -> str | None:
        """Make the key of a call; ``None`` when its request cannot be written as JSON, or its account has no name."""
        request, route = call.request, call.route
        form, told = _fields(type(request), self.ignore)
        account: str | None = None
        if not self.share_keys:
            if route.api_key is not None:
                account = route.api_key.reveal()
            elif route.credentials is not None and (account := _name_of(route.credentials)) is None:
                return None
        whole = (
            form,
            call.operation,
            call.stream,
            route.provider,
            route.model,
            route.base_url,
            route.settings,
            account,
            self.tags,
            tuple(map(call.tags.get, self.tags)),
            # Sorted by name alone: the order of those with the same name has a meaning.
            self._headers(call) if call.headers else (),
            told(request),
        )
        try:
            text = _ENCODER.encode(whole)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return None
        return _FORM + hashlib.sha256(text).hexdigest()

    def _headers(self, call: Call[object]) -> list[tuple[bytes, bytes]]:
        left_out = self.ignore_headers | _NEVER_PART
        return sorted([pair for pair in call.headers if pair[0] not in left_out], key=_name)


@lru_cache(maxsize=256)
def _fields(kind: type[msgspec.Struct], ignore: frozenset[str]) -> tuple[str, Callable[[msgspec.Struct], object]]:
    """Return a hash of the type's name and of those of the fields that are part of a key, and what gives their values.

    The names are most of a request's text, and the same in each.
    """
    names = [name for name in kind.__struct_fields__ if name != _TOLD_BY_ROUTE and name not in ignore]
    form = hashlib.sha256(" ".join([kind.__name__, *names]).encode()).hexdigest()
    return form, attrgetter(*names) if names else _no_fields


def _no_fields(_: msgspec.Struct) -> object:
    return ()


# What a source will give is not known before it is asked, which is no business of a cache's, and two that look alike
# may log in to two accounts. So each has a name of its own. Processes that were forked share their sources.
_names: weakref.WeakKeyDictionary[CredentialSource, str] = weakref.WeakKeyDictionary()


def _name_of(source: CredentialSource) -> str | None:
    """Name a source of credentials; ``None`` when it is of a kind that cannot be told apart safely."""
    try:
        name = _names.get(source)
        return _names.setdefault(source, os.urandom(16).hex()) if name is None else name
    except TypeError:  # no weak reference to it, or no hash
        return None


def _name(header: tuple[bytes, bytes]) -> bytes:
    return header[0]


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


def _plain(value: object) -> object:
    """Turn what msgspec does not encode by itself into what does, as the providers' codecs would send it."""
    if isinstance(value, type):
        return format_of_type(value)
    if isinstance(value, File) and isinstance(value.content, bytes):
        # What is in others is known once they are read, which may block, and is for the request to do.
        return value.name, value.media_type, hashlib.sha256(value.content).hexdigest()
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    if isinstance(value, Sequence):
        return list(cast("Sequence[object]", value))
    raise TypeError(f"{type(value).__name__} is not JSON")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain, order="deterministic")
