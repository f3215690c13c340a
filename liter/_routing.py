"""From a model's name to a route: provider, model, address and key. No key ever goes to another provider."""

import difflib
import os
from collections.abc import Mapping

from ._contract import Route
from ._errors import AuthenticationError, EndpointNotSupportedError
from ._http import parse_base_url
from ._options import DEFAULTS, CallOptions, check_key
from ._secret import Secret
from .providers import Provider


class RouteTable:
    """Resolves routes for one client.

    ``"anthropic/claude-sonnet-4-5"`` goes to the provider of that name. A model without a known prefix goes,
    name unchanged, to the client's own provider.

    :param home: name of the client's own provider, which ``api_key`` and ``base_url`` belong to
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        home: str,
        *,
        api_key: str | Secret | None = None,
        base_url: str | None = None,
        api_keys: Mapping[str, str | Secret] | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.providers = providers
        self._environ = environ
        if home not in providers:
            raise ValueError(f"model_hint: {unknown(home, providers)}")
        self.home = home
        if base_url is not None:
            parse_base_url(base_url)
        self.base_url = base_url
        self._keys: dict[str, Secret] = {}
        for name, key in (api_keys or {}).items():
            if name not in providers:
                raise ValueError(f"api_keys: {unknown(name, providers)}")
            self._keys[name] = check_key(key, f"api_keys[{name!r}]")
        if api_key is not None:
            if home in self._keys:
                raise ValueError(f"api_key and api_keys[{home!r}] are both given: they are for the same provider")
            self._keys[home] = check_key(api_key, "api_key")

    def route(self, model: str, operation: str, options: CallOptions) -> Route:
        """Resolve where a call goes. A missing key is no error yet: a layer may send the call elsewhere.

        :raises EndpointNotSupportedError: the provider does not offer the operation
        """
        name, model = self._split(model)
        provider = self.providers[name]
        if operation not in provider.operations:
            able = sorted(other for other, codec in self.providers.items() if operation in codec.operations)
            raise EndpointNotSupportedError(
                f"{name} does not offer {operation}; these do: {', '.join(able)}", provider=name, model=model or None
            )
        if options.base_url is not None:
            parse_base_url(options.base_url)
        base_url = options.base_url or (self.base_url if name == self.home else None)
        return Route(
            provider=name,
            model=model,
            base_url=base_url or provider.base_url,
            api_key=self._key(name, provider, base_url, options.api_key),
        )

    def reroute(self, model: str, *, first: str, operation: str, options: CallOptions) -> Route:
        """Resolve where a call goes that was to go to the provider ``first``: its key and address stay there.

        :raises EndpointNotSupportedError: the provider does not offer the operation
        """
        name, _ = self._split(model)
        return self.route(model, operation, options if name == first else DEFAULTS)

    def _split(self, model: str) -> tuple[str, str]:
        prefix, slash, rest = model.partition("/")
        return (prefix, rest) if slash and prefix in self.providers else (self.home, model)

    def _key(self, name: str, provider: Provider, base_url: str | None, given: str | Secret | None) -> Secret | None:
        if given is not None:
            return check_key(given, "api_key")
        if (key := self._keys.get(name)) is not None:
            return key
        if base_url is not None and not _same_origin(base_url, provider.base_url):
            # Somebody else's address: a key from the environment was not meant for it, and it may need none.
            return None
        for variable in provider.key_variables:
            if text := self._environ.get(variable):
                return check_key(text, f"the environment variable {variable}")
        return None

    def check(self, route: Route) -> None:
        """Check, right before the request, that its key is there if it needs one.

        :raises AuthenticationError: no key; the message names where it was looked for
        """
        if route.api_key is not None:
            return
        name = route.provider
        provider = self.providers[name]
        if not provider.key_variables or not _same_origin(route.base_url, provider.base_url):
            return
        looked = " or ".join(provider.key_variables)
        hint = ""
        if self.home in self._keys and name != self.home:
            hint = f"; api_key= is for {self.home!r}, the client's own provider (see model_hint=), and for no other"
        raise AuthenticationError(
            f"no key for {name}: set the environment variable {looked}, or pass api_keys={{{name!r}: ...}}{hint}",
            provider=name,
        )


def _same_origin(one: str, other: str) -> bool:
    return parse_base_url(one).origin == parse_base_url(other).origin


def unknown(name: str, known: Mapping[str, object]) -> str:
    """Say that a provider's name is unknown, and what was probably meant."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"unknown provider {name!r}" + (f": did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}")
