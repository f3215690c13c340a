"""Perplexity's API: OpenAI's wire, and a search of the web."""

from collections.abc import Mapping
from typing import Any

from ._openai import OpenAI
from ._search_engine import search_wire
from ._search_engines import PERPLEXITY
from ._wire import OperationWire

_SEARCH: Mapping[str, OperationWire[Any, Any]] = {"search": search_wire(PERPLEXITY)}


class Perplexity(OpenAI, frozen=True, kw_only=True):
    """A provider that speaks Perplexity's API."""

    name: str = "perplexity"
    base_url: str = "https://api.perplexity.ai"
    key_variables: tuple[str, ...] = ("PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY")
    base64_embeddings: bool = False
    developer_role: bool = False

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        return {**super().wires, **_SEARCH}
