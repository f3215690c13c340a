"""Clients made by a function: of five arguments, or of JSON."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ._file import SECTIONS
from ._tables import Table, check_keys, table

if TYPE_CHECKING:
    from .._client import LlmClient

_SIMPLE = ("api_key", "base_url", "timeout_secs", "max_retries", "model_hint")


def create_client(
    api_key: str,
    base_url: str | None = None,
    timeout_secs: float | None = None,
    max_retries: int | None = None,
    model_hint: str | None = None,
) -> "LlmClient":
    """Make a client of what most need. ``LlmClient`` has all there is.

    :param api_key: key for the client's own provider
    :param base_url: its address, where it is not the usual one
    :param timeout_secs: seconds for a whole call, or to a stream's first event
    :param max_retries: how often a call that fails is tried again
    :param model_hint: the client's own provider, or a model with its prefix
    :raises ValueError: an argument makes no sense
    """
    from .._client import LlmClient

    options: dict[str, object] = {"base_url": base_url, "model_hint": model_hint}
    if timeout_secs is not None:
        options["timeout"] = timeout_secs
    if max_retries is not None:
        options["max_retries"] = max_retries
    return LlmClient(api_key=api_key, **options)  # type: ignore[arg-type] # each as it is typed above


def create_client_from_json(text: str | bytes) -> "LlmClient":
    """Make a client of a JSON object: the arguments of ``create_client``, or the sections of ``liter.toml``.

    :raises ValueError: it is no such object, has keys that nobody reads, or makes no sense
    """
    from .._client import LlmClient

    try:
        told: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the configuration is no JSON: {error}") from error
    given: Table = table(told, "the configuration")
    if given.keys() & set(SECTIONS):
        from ._build import build

        built = build(given, where="the configuration", folder=Path.cwd())
        return LlmClient(**built.options)  # type: ignore[arg-type] # each is checked by the client
    check_keys(given, (*_SIMPLE, *SECTIONS), "the configuration")
    if "api_key" not in given:
        raise ValueError("the configuration lacks 'api_key'")
    return create_client(**given)  # type: ignore[arg-type] # each is checked by the client
