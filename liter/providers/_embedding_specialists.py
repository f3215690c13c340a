"""Voyage and Jina: OpenAI's wire for texts, and forms of their own for pictures; Jina searches the web, too."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from msgspec.structs import replace

from .._contract import Call
from .._errors import BadRequestError
from .._http import HttpRequest
from ..types import EmbeddingRequest
from ._json_body import body_of
from ._openai import OpenAI
from ._openai_operations import OPERATIONS, post
from ._parameters import refuse_given
from ._search_engine import search_wire
from ._search_engines import JINA
from ._wire import OperationWire

Item = str | Sequence[int] | Mapping[str, object]

_EMBED = OPERATIONS["embed"]


def _pictured(request: EmbeddingRequest) -> bool:
    return any(isinstance(item, Mapping) for item in request.items)


def _part(item: Item, index: int, provider: str) -> Mapping[str, object]:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if isinstance(item, Mapping):
        return item
    raise BadRequestError(f"input[{index}]: {provider} takes texts and content parts, not token ids")


def _address(part: Mapping[str, object]) -> str | None:
    """The address of a picture, in OpenAI's form of it; ``None``: it is none."""
    told = part.get("image_url")
    if isinstance(told, Mapping):
        told = cast("Mapping[str, object]", told).get("url")
    return told if part.get("type") == "image_url" and isinstance(told, str) else None


def _voyage_parts(item: Item, index: int) -> Iterator[Mapping[str, object]]:
    part = _part(item, index, "Voyage")
    several = part.get("content")
    for one in cast("Sequence[Mapping[str, object]]", several) if isinstance(several, list | tuple) else (part,):
        address = _address(one)
        if address is None:
            yield one
        else:
            kind = "image_base64" if address.startswith("data:") else "image_url"
            yield {"type": kind, kind: address}


def _encode_voyage(provider: OpenAI, call: Call[object]) -> HttpRequest:
    request = cast("EmbeddingRequest", call.request)
    if not _pictured(request):
        return _EMBED.encode(provider, call)
    refuse_given(call, "user")
    told = {
        "model": call.route.model,
        "inputs": [{"content": list(_voyage_parts(item, index))} for index, item in enumerate(request.items)],
        "input_type": request.input_type,
        "output_dimension": request.dimensions,
        "output_encoding": None if request.encoding_format == "float" else request.encoding_format,
    }
    return post(provider, call, "/multimodalembeddings", body_of(told, request.extra_body))


_JINA_TASKS = {"query": "retrieval.query", "document": "retrieval.passage"}


def _jina_part(item: Item, index: int) -> Item:
    part = _part(item, index, "Jina")
    address = _address(part)
    if address is not None:
        # A picture itself is told without the head of its address.
        return {"image": address.partition(",")[2] if address.startswith("data:") else address}
    return {"text": part["text"]} if part.get("type") == "text" else part


def _encode_jina(provider: OpenAI, call: Call[object]) -> HttpRequest:
    request = cast("EmbeddingRequest", call.request)
    kind = request.input_type
    if kind is not None:
        request = replace(request, input_type=_JINA_TASKS.get(kind, kind))
    if _pictured(request):
        parts = [cast("Mapping[str, object]", _jina_part(item, index)) for index, item in enumerate(request.items)]
        request = replace(request, input=parts)
    return _EMBED.encode(provider, replace(call, request=request))


_VOYAGE_WIRES: Mapping[str, OperationWire[Any, Any]] = {
    "embed": replace(_EMBED, encode=_encode_voyage),
    "rerank": OPERATIONS["rerank"],
}
_JINA_WIRES: Mapping[str, OperationWire[Any, Any]] = {
    "embed": replace(_EMBED, encode=_encode_jina),
    "rerank": OPERATIONS["rerank"],
    "search": search_wire(JINA),
}


class Voyage(OpenAI, frozen=True, kw_only=True):
    """A provider that speaks Voyage's API."""

    name: str = "voyage"
    base_url: str = "https://api.voyageai.com/v1"
    key_variables: tuple[str, ...] = ("VOYAGE_API_KEY", "VOYAGE_AI_API_KEY")
    base64_embeddings: bool = False
    embedding_renames: Mapping[str, str] = MappingProxyType(
        {"dimensions": "output_dimension", "input_type": "input_type"}
    )
    rerank_renames: Mapping[str, str] = MappingProxyType({"top_n": "top_k"})

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        return _VOYAGE_WIRES


class Jina(OpenAI, frozen=True, kw_only=True):
    """A provider that speaks Jina's API."""

    name: str = "jina"
    base_url: str = "https://api.jina.ai/v1"
    key_variables: tuple[str, ...] = ("JINA_API_KEY", "JINA_AI_API_KEY")
    base64_embeddings: bool = False
    embedding_renames: Mapping[str, str] = MappingProxyType({"input_type": "task", "encoding_format": "embedding_type"})

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        return _JINA_WIRES
