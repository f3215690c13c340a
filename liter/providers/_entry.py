"""The registry's records: what is known of a provider, as ``registry.json`` tells it."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from ._auth import BEARER, Auth

_DATA = Path(__file__).with_name("registry.json")


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a provider differs from the protocol it speaks; see :class:`OpenAI`, whose fields these are."""

    renames: dict[str, str] = {}
    unsupported: tuple[str, ...] = ()
    stream_options: bool = True
    reasoning_field: str | None = None
    reasoning_effort: dict[str, dict[str, object]] = {}
    developer_role: bool = False
    content_as_text: bool = False
    inline_images: bool = False
    body: dict[str, object] = {}
    batches: Literal["openai", "xai"] | None = "openai"
    base64_embeddings: bool = False
    counts_tokens: bool = False
    embedding_renames: dict[str, str] = {}
    rerank_renames: dict[str, str] = {}
    rerank_form: Literal["", "deepinfra", "nvidia", "tei"] = ""
    image_form: Literal["", "hyperbolic", "together"] = ""


class Alternative(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Another address of a provider, perhaps with another protocol."""

    protocol: str
    base_url: str
    path: str = ""
    note: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was decided about a field on which sources disagree, and why."""

    field: str
    reason: str
    others: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One provider. The data file explains each field at its top."""

    name: str = ""
    title: str
    kind: str
    protocol: str
    base_url: str | None
    auth: Auth = BEARER
    key_variables: tuple[str, ...] = ()
    base_variables: dict[str, str] = {}
    settings: dict[str, tuple[str, ...]] = {}
    operations: tuple[str, ...]
    paths: dict[str, str] = {}
    local: bool = False
    quirks: Quirks = Quirks()
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = ()
    decisions: tuple[Decision, ...] = ()
    docs: str | None = None
    confidence: str


class _Registry(msgspec.Struct):
    """The file as a whole. A provider's record stays bytes until somebody asks for it."""

    models: dict[str, str]
    aliases: dict[str, str]
    providers: dict[str, msgspec.Raw]


_ENTRY = msgspec.json.Decoder(Entry)


@cache
def load() -> _Registry:
    """Read the registry, once."""
    return msgspec.json.decode(_DATA.read_bytes(), type=_Registry)


@cache
def entry(name: str) -> Entry:
    """The record of a provider. :raises KeyError: there is none of this name"""
    return msgspec.structs.replace(_ENTRY.decode(load().providers[name]), name=name)


def names() -> Mapping[str, object]:
    """The providers' names, as keys."""
    return load().providers


def canonical(name: str) -> str | None:
    """The name of the provider that ``name`` or an alias of it stands for; ``None``: it stands for none."""
    registry = load()
    return name if name in registry.providers else registry.aliases.get(name)


def aliases_of(name: str) -> list[str]:
    """The other names of a provider."""
    return [alias for alias, meant in load().aliases.items() if meant == name]


def models_of(name: str) -> list[str]:
    """How the bare names of a provider's models begin."""
    return [beginning for beginning, meant in load().models.items() if meant == name]


def provider_of_model(model: str) -> str | None:
    """The provider that a bare model's name tells by its beginning, the longest that fits."""
    models = load().models
    for length in range(len(model), 1, -1):
        if (name := models.get(model[:length])) is not None:
            return name
    return None
