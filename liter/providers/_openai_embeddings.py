"""Embeddings on OpenAI's wire."""

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._http import Headers
from ..types import Embedding, EmbeddingResponse, Usage, Vector
from ._lenient import decode_leniently
from ._openai_usage import normal_usage
from ._read import unreadable


class _Embedding(msgspec.Struct):
    index: int = 0
    # Base64, which msgspec decodes as it reads it, in half the time of the standard library; or numbers.
    embedding: bytes | list[float] | None = None


class _Reply(msgspec.Struct):
    data: list[_Embedding]
    object: str = "list"
    model: str = ""
    usage: Usage | None = None


_REPLY = msgspec.json.Decoder(_Reply)
_BARE = msgspec.json.Decoder(list[list[float] | float])


def read_embeddings(call: Call[object], body: bytes, headers: Headers) -> EmbeddingResponse:
    """Decode a list of embeddings.

    :raises SerializationError: it cannot be read
    """
    provider = call.route.provider
    try:
        told = _bare(body) if body.lstrip()[:1] == b"[" else decode_leniently(_REPLY, body)
        data = [Embedding(index=one.index, embedding=_vector(one)) for one in told.data]
    except (msgspec.DecodeError, ValueError) as error:
        raise unreadable(body, "a list of embeddings", error, provider=provider, model=call.route.model) from error
    return EmbeddingResponse(object=told.object, data=data, model=told.model, usage=input_usage(told.usage, body))


def _vector(one: _Embedding) -> Vector:
    if one.embedding is None:
        raise ValueError(f"the vector of input {one.index} is missing")
    return Vector.of_bytes(one.embedding) if isinstance(one.embedding, bytes) else Vector.of(one.embedding)


def _bare(body: bytes) -> _Reply:
    """Vectors without an object around them, or the only one (Hugging Face's pipelines)."""
    told = _BARE.decode(body)
    vectors = [one for one in told if isinstance(one, list)] or [[one for one in told if isinstance(one, float)]]
    return _Reply(data=[_Embedding(index, one) for index, one in enumerate(vectors)])


def input_usage(usage: Usage | None, body: bytes) -> Usage | None:
    """The normal form of a usage that is all input; some tell the total alone (Voyage, Jina)."""
    if usage is None:
        return None
    if not usage.prompt_tokens:
        usage = replace(usage, prompt_tokens=usage.total_tokens)
    return normal_usage(usage, body)
