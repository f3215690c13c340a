"""From a model's name to a route: provider, model, address and key. No key ever goes to another provider."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from ._contract import Route
from ._credentials import CredentialSource
from ._errors import AuthenticationError, BadRequestError, EndpointNotSupportedError, NotFoundError
from ._http import parse_base_url, same_origin
from ._key import ApiKey, check_key, key_or_source
from ._options import DEFAULTS, CallOptions
from ._secret import BearerToken, Secret
from .providers import Catalog, Provider, Unspoken, WireProvider

# How many of those who offer an operation an error names.
_MOST_NAMED = 12


# Names of models that a client remembers the providers of.
_MOST_REMEMBERED = 1024


class _Place(NamedTuple):
    """What is looked up once of a provider."""

    provider: Provider
    operations: frozenset[str]
    settings: Mapping[str, str]
    address: str


class RouteTable:
    """Resolves routes for one client.

    Of a model's name, the first of these decides that fits:

    1. a custom provider's name, alias or prefix;
    2. ``provider/`` at its beginning, by name or alias, as in ``"anthropic/claude-sonnet-4-5"``; it is taken off;
    3. how a provider's models are named, as in ``"claude-sonnet-4-5"``: only while neither the client's own provider
       nor an address is given, as who gives one wants calls to go there;
    4. the client's own provider.

    :param home: the client's own provider, which ``api_key`` and ``base_url`` belong to: its name, or a model of its;
        ``None`` is ``"openai"``
    :param settings: values for what the providers' addresses leave open, by provider and setting
    """

    def __init__(
        self,
        providers: Catalog,
        home: str | None = None,
        *,
        api_key: ApiKey | None = None,
        base_url: str | None = None,
        api_keys: Mapping[str, ApiKey] | None = None,
        settings: Mapping[str, Mapping[str, str]] | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.providers = providers
        self._environ = environ
        self._guesses = home is None and base_url is None
        self.home = "openai" if home is None else self._home(home)
        if base_url is not None:
            parse_base_url(base_url)
        self.base_url = base_url
        self._keys: dict[str, Secret | CredentialSource] = {}
        for given, key in (api_keys or {}).items():
            name = self._known(given, "api_keys")
            self._keys[name] = key_or_source(key, f"api_keys[{given!r}]")
        if api_key is not None:
            if self.home in self._keys:
                raise ValueError(f"api_key and api_keys[{self.home!r}] are both given: they are for the same provider")
            self._keys[self.home] = key_or_source(api_key, "api_key")
        self._places: dict[str, _Place] = {}
        self._logins: dict[str, tuple[Secret | None, CredentialSource | None]] = {}
        self._splits: dict[str, tuple[Mapping[str, object], tuple[str, str]]] = {}
        self._routes: dict[tuple[str, str], tuple[Mapping[str, object], Route]] = {}
        self._settings: dict[str, Mapping[str, str]] = {}
        for given, values in (settings or {}).items():
            name = self._known(given, "provider_settings")
            self._settings[name] = self._checked_settings(name, values)

    def _home(self, home: str) -> str:
        providers = self.providers
        name = providers.find(home.partition("/")[0])
        if name is None and "/" not in home:
            name = providers.custom_of_model(home) or providers.known_of_model(home)
        if name is None:
            raise ValueError(f"model_hint: {providers.unknown(home.partition('/')[0])}")
        return name

    def _known(self, name: str, field: str) -> str:
        found = self.providers.find(name)
        if found is None:
            raise ValueError(f"{field}: {self.providers.unknown(name)}")
        return found

    def _checked_settings(self, name: str, values: Mapping[str, str]) -> Mapping[str, str]:
        if not isinstance(values, Mapping):
            raise ValueError(f"provider_settings[{name!r}] must be values by the name of a setting, not {values!r}")
        provider = self.providers[name]
        known = provider.settings if isinstance(provider, WireProvider) else values
        for setting, value in values.items():
            if setting not in known:
                there = f"it has {', '.join(known)}" if known else "it has none"
                raise ValueError(f"provider_settings[{name!r}]: unknown setting {setting!r}; {there}")
            if not isinstance(value, str) or not value:
                raise ValueError(f"provider_settings[{name!r}][{setting!r}] must be a text, not {value!r}")
        return dict(values)

    def provider(self, name: str) -> Provider:
        """The codec of a provider that a route names.

        :raises NotFoundError: it is not registered any more
        """
        try:
            return self.providers[name]
        except KeyError:
            raise NotFoundError(f"the provider {name!r} is not registered any more", provider=name) from None

    def route(self, model: str, operation: str, options: CallOptions) -> Route:
        """Resolve where a call goes. A missing key or setting is no error yet: a layer may send the call elsewhere.

        :raises EndpointNotSupportedError: the provider does not offer the operation
        :raises NotFoundError: the model's prefix is nearly that of a provider
        """
        plain = options.api_key is None and options.base_url is None
        if plain:
            customs, route = self._routes.get((model, operation), _NOWHERE)
            if route is not None and customs is self.providers.registered:
                return route
        asked = model
        name, model = self.split(model, options)
        provider, operations, settings, own = self._place(name)
        if options.base_url is not None:
            parse_base_url(options.base_url)
        given = options.base_url or (self.base_url if name == self.home else None)
        if operation not in operations and not self._elsewhere(provider, operation, given, own):
            raise EndpointNotSupportedError(self._not_offered(provider, operation), provider=name, model=model or None)
        key = self._key(name, provider, given, own, options.api_key)
        route = Route(
            provider=name,
            model=model,
            base_url=given or own,
            api_key=key if isinstance(key, Secret) else None,
            credentials=None if isinstance(key, Secret) else key,
            settings=settings,
        )
        if plain and name in self._keys:  # the environment may change
            if len(self._routes) >= _MOST_REMEMBERED:
                self._routes.clear()
            self._routes[asked, operation] = self.providers.registered, route
        return route

    def resolver(self, first: Route, operation: str, options: CallOptions) -> Callable[[str], Route]:
        """Make what resolves where a call goes that was to go along ``first``: a key and an address given for it alone
        stay with that provider. It raises what :meth:`route` does.
        """
        if options.api_key is None and options.base_url is None:
            return partial(self.route, operation=operation, options=DEFAULTS)
        return partial(self._reroute, first=first.provider, operation=operation, options=options)

    def _reroute(self, model: str, *, first: str, operation: str, options: CallOptions) -> Route:
        name, _ = self.split(model, options)
        return self.route(model, operation, options if name == first else DEFAULTS)

    def split(self, model: str, options: CallOptions = DEFAULTS) -> tuple[str, str]:
        """The provider that a model's name routes to, and the model as that provider names it.

        :raises NotFoundError: the model's prefix is nearly that of a provider
        """
        if options.base_url is not None:
            return self._split(model, guesses=False)
        customs, found = self._splits.get(model, _NEVER)
        if customs is not self.providers.registered:
            # What is registered has changed since, or the name is new.
            found = self._split(model, guesses=self._guesses)
            if len(self._splits) >= _MOST_REMEMBERED:
                self._splits.clear()
            self._splits[model] = self.providers.registered, found
        return found

    def _split(self, model: str, *, guesses: bool) -> tuple[str, str]:
        providers = self.providers
        prefix, slash, rest = model.partition("/")
        if slash and (name := providers.find(prefix)) is not None:
            return name, rest
        if (name := providers.custom_of_model(model)) is not None:
            return name, model
        if slash and not rest:
            raise NotFoundError(providers.unknown(prefix))
        if guesses:
            if (name := providers.known_of_model(model)) is not None:
                return name, model
            if slash and (near := providers.near(prefix)) is not None:
                raise NotFoundError(
                    f"there is no provider {prefix!r}: did you mean {f'{near}/{rest}'!r}? (A model of {self.home} that "
                    f"is named so is {f'{self.home}/{model}'!r}.)",
                    model=model,
                )
        return self.home, model

    def _elsewhere(self, provider: Provider, operation: str, given: str | None, own: str) -> bool:
        """Whether the protocol has the operation, and the call goes where nothing is known of what is offered."""
        if given is None or same_origin(given, own) or not isinstance(provider, WireProvider):
            return False
        return operation in provider.wires

    def _not_offered(self, provider: Provider, operation: str) -> str:
        if isinstance(provider, Unspoken):
            return f"liter does not speak the protocol of {provider.name} ({provider.protocol}) yet"
        able = sorted(name for name, other in self.providers.items() if operation in other.operations)
        more = f" and {len(able) - _MOST_NAMED} more" if len(able) > _MOST_NAMED else ""
        return f"{provider.name} does not offer {operation}; these do: {', '.join(able[:_MOST_NAMED]) or 'none'}{more}"

    def _place(self, name: str) -> _Place:
        provider = self.providers[name]
        place = self._places.get(name)
        if place is None or place.provider is not provider:
            settings, address = self._address(provider)
            place = self._places[name] = _Place(provider, provider.operations, settings, address)
        return place

    def _address(self, provider: Provider) -> tuple[Mapping[str, str], str]:
        """A provider's settings, and its own address: what the environment says, or what it always is."""
        if not isinstance(provider, WireProvider) or not (provider.settings or provider.base_variables):
            return _NOTHING, provider.base_url
        environ = self._environ
        settings = {
            setting: text
            for setting, variables in provider.settings.items()
            if (text := next((environ[variable] for variable in variables if environ.get(variable)), None))
        }
        settings.update(self._settings.get(provider.name, _NOTHING))
        for variable, end in provider.base_variables.items():
            if text := environ.get(variable):
                try:
                    parse_base_url(text)
                except ValueError as error:
                    raise ValueError(f"the environment variable {variable}: {error}") from None
                address = text.rstrip("/")
                return settings, address if address.endswith(end) else address + end
        return settings, provider.address(settings)

    def _key(
        self, name: str, provider: Provider, given_url: str | None, own_url: str, given: ApiKey | None
    ) -> Secret | CredentialSource | None:
        if given is not None:
            one = key_or_source(given, "api_key")
            return self._login(name, one) if isinstance(one, Secret) else one
        if (key := self._keys.get(name)) is not None:
            return self._login(name, key) if isinstance(key, Secret) else key
        if given_url is not None and not same_origin(given_url, own_url):
            # Somebody else's address: a key from the environment was not meant for it, and it may need none.
            return None
        for variable in provider.key_variables:
            if text := self._environ.get(variable):
                key = check_key(text, f"the environment variable {variable}")
                if isinstance(provider, WireProvider) and variable in provider.token_variables:
                    key = BearerToken(key.reveal())
                return self._login(name, key)
        return self._login(name, None)

    def _login(self, name: str, key: Secret | None) -> Secret | CredentialSource | None:
        """What logs in with a key, or without one, where the provider takes more than keys."""
        provider, _, settings, _ = self._places[name]
        if not isinstance(provider, WireProvider) or provider.auth.kind in _PLAIN:
            return key
        from .credentials import login_of

        made = self._logins.get(name)
        if made is None or made[0] != key:
            try:
                made = self._logins[name] = key, login_of(provider.auth.kind, key, settings)
            except ImportError as error:
                raise AuthenticationError(f"no key for {name}, and {error}", provider=name) from error
        return key if made[1] is None else made[1]

    def check_address(self, route: Route) -> None:
        """Check that a route's address is known, as before somebody is asked for credentials that nothing would be
        sent with.

        :raises BadRequestError: no address, or a part of it is open; the message names what would fill it in
        """
        if not route.base_url or "{" in route.base_url:
            told = _open_address(self.provider(route.provider), route)
            raise BadRequestError(told, provider=route.provider, model=route.model or None)

    def check(self, route: Route, *, signed: bool = False) -> None:
        """Check, right before the request, that its address is known and its key is there if it needs one.

        :param signed: it will be signed, and needs no key
        :raises AuthenticationError: no key; the message names where it was looked for
        :raises BadRequestError: no address, or a part of it is open; the message names what would fill it in
        """
        self.check_address(route)
        if signed or route.api_key is not None:
            return
        provider = self.provider(route.provider)
        optional = provider.key_optional if isinstance(provider, WireProvider) else not provider.key_variables
        if optional or not same_origin(route.base_url, self._place(route.provider).address):
            return
        name = route.provider
        if provider.key_variables:
            told = f"set the environment variable {' or '.join(provider.key_variables)}, or pass "
        else:
            told = "pass "
        hint = ""
        if self.home in self._keys and name != self.home:
            hint = f"; api_key= is for {self.home!r}, the client's own provider (see model_hint=), and for no other"
        if isinstance(provider, WireProvider) and provider.auth.kind == "azure":
            hint += "; to log in with Entra ID, pip install 'liter-sdk[azure]'"
        raise AuthenticationError(f"no key for {name}: {told}api_keys={{{name!r}: ...}}{hint}", provider=name)


_NOTHING: Mapping[str, str] = {}
# Kinds of authentication in which a key is all there is.
_PLAIN = frozenset({"bearer", "header", "query", "none"})
_NOWHERE: tuple[None, None] = (None, None)
_NEVER: tuple[None, tuple[str, str]] = (None, ("", ""))


def _open_address(provider: Provider, route: Route) -> str:
    """Say what is missing from an address, and where it may come from."""
    name = provider.name
    known: Mapping[str, tuple[str, ...]] = {}
    variables: list[str] = []
    if isinstance(provider, WireProvider):
        known, variables = provider.settings, list(provider.base_variables)
    missing = [setting for setting in known if "{" + setting + "}" in route.base_url]
    ways: list[str] = []
    for setting in missing:
        by_variable = f"set {' or '.join(known[setting])}, or " if known[setting] else ""
        ways.append(f"{by_variable}pass provider_settings={{{name!r}: {{{setting!r}: ...}}}}")
    if variables:
        ways.append(f"set {' or '.join(variables)} to the whole address")
    ways.append("pass base_url")
    what = f"the {' and '.join(missing)} of {name}" if missing else f"the address of {name}"
    return f"{what} is not known: {'; or '.join(ways)}"
