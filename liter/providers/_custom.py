"""Providers of the user's own: for the whole process, or for one client."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec

from .._http import encode_headers, parse_base_url
from ._auth import BEARER, Auth
from ._codec import Provider
from ._registry import PROTOCOLS, codec_of

_METHODS = ("encode", "decode", "usage", "open_stream", "error", "request_id")


class CustomProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that speaks a protocol which liter has, by default OpenAI's.

    What differs further is told by a codec of one's own, such as ``OpenAI(name="acme", renames={...})``, which goes
    wherever a config does.

    :param name: what routes to it: ``"acme"`` for ``"acme/some-model"``
    :param base_url: where its API lives: ``"https://llm.acme.example/v1"``
    :param auth_header: the header that holds the key: ``"Authorization"`` for a bearer token, any other for the bare
        key, ``None`` for none
    :param model_prefixes: further names (with a slash at the end), and beginnings of bare models' names, that route to
        it: ``["acme-internal/", "acme-"]``
    :param key_variables: environment variables that may hold the key; without any, a key is optional
    :param protocol: of the codec: ``"openai"``, ``"anthropic"``, ...
    :raises ValueError: a field makes no sense
    """

    name: str
    base_url: str
    auth_header: str | None = "Authorization"
    model_prefixes: Sequence[str] = ()
    key_variables: tuple[str, ...] = ()
    protocol: str = "openai"

    def __post_init__(self) -> None:
        _check_name(self.name)
        parse_base_url(self.base_url)
        if self.auth_header is not None:
            encode_headers({self.auth_header: "key"})
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol must be one of {', '.join(sorted(PROTOCOLS))}, not {self.protocol!r}")
        _check_prefixes(self.model_prefixes)

    def codec(self) -> Provider:
        """The codec that this describes."""
        header = self.auth_header
        if header is None:
            auth = Auth(kind="none")
        elif header.lower() == "authorization":
            auth = BEARER
        else:
            auth = Auth(kind="header", header=header)
        codec = codec_of(self.protocol)
        make = cast("Callable[..., Provider]", codec)
        more: dict[str, object] = {}
        if self.protocol == "openai":
            # An imitator of OpenAI's wire that nothing is known about knows its oldest roles, and does not count.
            more |= {"developer_role": False, "counts_tokens": False}
        elif "protocol" in codec.__struct_fields__:
            more["protocol"] = self.protocol
        return make(
            name=self.name,
            base_url=self.base_url,
            auth=auth,
            key_variables=self.key_variables,
            key_optional=not self.key_variables,
            **more,
        )


class Custom(msgspec.Struct, frozen=True):
    """A custom provider, and what routes to it beside its name.

    :param names: further names that stand before a slash
    :param beginnings: of bare models' names
    """

    provider: Provider
    names: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: CustomProviderConfig | Provider, model_prefixes: Sequence[str] = ()) -> "Custom":
        """Make one of what a user gives.

        :raises ValueError: it is neither a config nor a codec
        """
        if isinstance(given, CustomProviderConfig):
            provider, prefixes = given.codec(), (*given.model_prefixes, *model_prefixes)
        else:
            provider, prefixes = _checked(given), tuple(model_prefixes)
        _check_prefixes(prefixes)
        return cls(
            provider,
            tuple(prefix[:-1] for prefix in prefixes if prefix.endswith("/")),
            tuple(prefix for prefix in prefixes if not prefix.endswith("/")),
        )


class _Registered:
    """Those of the process. Readers take the mapping as it is; writers replace it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_name: Mapping[str, Custom] = {}


_registered = _Registered()


def register_custom_provider(provider: CustomProviderConfig | Provider, *, model_prefixes: Sequence[str] = ()) -> None:
    """Have all clients of the process reach a provider, those that exist already included.

    It comes before liter's own of the same name, and takes the place of one that was registered under it. Keys that
    belong to another provider do not go to it. Safe from any thread.

    :param provider: a config, or a codec of one's own (see :func:`liter.testing.check_provider`)
    :param model_prefixes: as in the config, for a codec
    :raises ValueError: it is neither, or a field makes no sense
    """
    custom = Custom.of(provider, model_prefixes)
    with _registered.lock:
        _registered.by_name = {**_registered.by_name, custom.provider.name: custom}


def unregister_custom_provider(name: str) -> bool:
    """Have clients not reach a registered provider any more. Calls that are under way go on.

    :return: whether there was one of this name
    """
    with _registered.lock:
        left = {other: custom for other, custom in _registered.by_name.items() if other != name}
        found = len(left) < len(_registered.by_name)
        _registered.by_name = left
    return found


def registered() -> Mapping[str, Custom]:
    """The providers that are registered in the process, by name."""
    return _registered.by_name


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name or "/" in name or not name.isprintable() or " " in name:
        raise ValueError(f"name must be a word without blanks and slashes, not {name!r}")


def _check_prefixes(prefixes: Sequence[str]) -> None:
    if isinstance(prefixes, str):
        raise ValueError(f"model_prefixes must be a list, as [{prefixes!r}], not a str")
    for prefix in prefixes:
        if not isinstance(prefix, str) or not prefix.strip("/"):
            raise ValueError(f"model_prefixes: {prefix!r} is no beginning of a model's name")


def _checked(given: object) -> Provider:
    if isinstance(given, type):
        raise ValueError(f"providers: {given.__name__} is a class; give an instance, {given.__name__}(...)")
    missing = [name for name in _METHODS if not callable(getattr(given, name, None))]
    missing += [name for name in ("name", "base_url", "key_variables", "operations") if not hasattr(given, name)]
    if missing:
        raise ValueError(f"providers: {given!r} is neither a CustomProviderConfig nor a codec: it has no {missing[0]}")
    provider = cast("Provider", given)
    _check_name(provider.name)
    return provider
