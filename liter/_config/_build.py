"""From the tables of a configuration to what a client is made with."""

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec

from .._secret import Secret
from ..money import PriceBook
from ..providers import Catalog, CustomProviderConfig
from ..stores import MemoryStore, RedisStore, SqliteStore, Store
from ._file import SECTIONS
from ._layers import Parts, layer_of, timeout
from ._tables import Table, check_keys, made, table, tables, text

# Settings of the client that a file may have; the others have sections of their own, or are objects.
CLIENT_KEYS = (
    "base_url", "model_hint", "max_retries", "timeout", "unsupported", "fetch_urls", "http2", "proxy",
    "trust_environment", "max_connections", "keepalive_expiry", "max_response_bytes", "max_event_bytes",
)  # fmt: skip


class Built(msgspec.Struct, frozen=True):
    """What a client is made with, and what is worth telling about it.

    :param options: the client's arguments
    :param keys: providers, with the variables their keys are taken from, and whether these are set
    """

    options: Mapping[str, object]
    keys: Mapping[str, Mapping[str, bool]]
    stores: Mapping[str, Store]


def build(told: Table, *, where: str, folder: Path, environ: Mapping[str, str] = os.environ) -> Built:
    """Make everything that a configuration says.

    :param where: what to call it in errors
    :param folder: what relative paths are relative to
    :raises ValueError: something makes no sense, or is a key that nobody reads; says where
    """
    check_keys(told, SECTIONS, where)
    options = _client(told.get("client", {}), f"{where}: [client]")
    keys, variables = _keys(told.get("keys", {}), f"{where}: [keys]", environ)
    if keys:
        options["api_keys"] = keys
    if "provider_settings" in told:
        options["provider_settings"] = _settings(told["provider_settings"], f"{where}: [provider_settings]")
    if "providers" in told:
        options["providers"] = _providers(told["providers"], f"{where}: providers")
    catalog = Catalog(cast("Sequence[CustomProviderConfig]", options.get("providers", ())))
    for provider in variables:
        # Here, as a key whose variable is not set is not given to the client.
        if catalog.find(provider) is None:
            raise ValueError(f"{where}: [keys]: {catalog.unknown(provider)}")
    stores = _stores(told.get("stores", {}), f"{where}: [stores]", folder, environ)
    prices = _prices(told.get("prices", {}), f"{where}: [prices]", folder)
    if prices is not None:
        options["prices"] = prices
    if "layers" in told:
        parts = Parts(stores)
        options["middleware"] = [
            layer_of(_resolved(given, folder), f"{where}: layers[{index}]", parts)
            for index, given in enumerate(tables(told["layers"], f"{where}: layers"))
        ]
    return Built(options, variables, stores)


def _client(told: object, where: str) -> dict[str, object]:
    given = table(told, where)
    check_keys(given, CLIENT_KEYS, where)
    parts = Parts({})
    return {key: timeout(value, f"{where}.{key}", parts) for key, value in given.items()}


def _keys(
    told: object, where: str, environ: Mapping[str, str]
) -> tuple[dict[str, object], dict[str, Mapping[str, bool]]]:
    keys: dict[str, object] = {}
    variables: dict[str, Mapping[str, bool]] = {}
    for provider, value in table(told, where).items():
        place = f"{where}.{provider}"
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, Sequence) or not names:
            raise ValueError(f"{place} must name an environment variable, or several, not {value!r}")
        checked = [_variable(name, place) for name in cast("Sequence[object]", names)]
        found = [Secret(environ[name]) for name in checked if environ.get(name)]
        variables[provider] = {name: bool(environ.get(name)) for name in checked}
        if found:
            keys[provider] = found if len(found) > 1 else found[0]
    return keys, variables


def _variable(name: object, where: str) -> str:
    # The value is not shown: it may be a key.
    if not isinstance(name, str) or not name.replace("_", "a").isalnum() or name[:1].isdigit() or name.islower():
        raise ValueError(f"{where} must name an environment variable, such as 'OPENAI_API_KEY': keys stay out of files")
    return name


def _settings(told: object, where: str) -> dict[str, dict[str, str]]:
    return {
        provider: {
            name: text(value, f"{where}.{provider}.{name}")
            for name, value in table(settings, f"{where}.{provider}").items()
        }
        for provider, settings in table(told, where).items()
    }


def _providers(told: object, where: str) -> list[CustomProviderConfig]:
    known = list(inspect.signature(CustomProviderConfig).parameters)
    found: list[CustomProviderConfig] = []
    for index, given in enumerate(tables(told, where)):
        place = f"{where}[{index}]"
        check_keys(given, known, place)
        values = {
            key: tuple(cast("Sequence[str]", value)) if isinstance(value, list) else value
            for key, value in given.items()
        }
        found.append(made(CustomProviderConfig, place, **values))
    return found


def _stores(told: object, where: str, folder: Path, environ: Mapping[str, str]) -> dict[str, Store]:
    return {
        name: _store(table(given, f"{where}.{name}"), f"{where}.{name}", folder, environ)
        for name, given in table(told, where).items()
    }


def _store(given: Table, where: str, folder: Path, environ: Mapping[str, str]) -> Store:
    if "url_variable" in given:
        variable = _variable(given["url_variable"], f"{where}.url_variable")
        url = environ.get(variable, "")
        if not url:
            raise ValueError(f"{where}: the environment variable {variable} is not set")
        check_keys(given, ("url_variable", "max_bytes", "prefix", "timeout"), where)
    else:
        check_keys(given, ("url", "url_variable", "max_bytes", "prefix", "timeout"), where)
        url = text(given.get("url"), f"{where}.url")
    rest = {key: value for key, value in given.items() if key not in ("url", "url_variable")}
    if url == "memory:":
        check_keys(rest, ("max_bytes",), where)
        return made(MemoryStore, where, **rest)
    if url.startswith("sqlite:"):
        check_keys(rest, ("max_bytes", "timeout"), where)
        return made(SqliteStore, where, folder / url.removeprefix("sqlite:").removeprefix("//"), **_floats(rest))
    if url.startswith(("redis://", "rediss://")):
        check_keys(rest, ("prefix", "timeout"), where)
        return made(RedisStore, where, url, **_floats(rest))
    # The value is not shown: it may have a password in it.
    raise ValueError(f"{where}.url must be 'memory:', 'sqlite:PATH' or 'redis://HOST:PORT/NUMBER'")


def _floats(given: Table) -> dict[str, object]:
    return {key: float(cast("float", value)) if key == "timeout" else value for key, value in given.items()}


def _prices(told: object, where: str, folder: Path) -> PriceBook | None:
    given = table(told, where)
    check_keys(given, ("file", "alone"), where)
    if not given:
        return None
    try:
        own = PriceBook.from_file(folder / text(given.get("file"), f"{where}.file"))
    except OSError as error:
        raise ValueError(f"{where}.file: {error}") from error
    return own if given.get("alone") else PriceBook.default().with_(own)


def _resolved(given: Table, folder: Path) -> Table:
    """A ledger's file stands beside the configuration."""
    if given.get("type") == "Ledger" and isinstance(given.get("store"), str):
        return {**given, "store": str(folder / cast("str", given["store"]))}
    return given
