"""Embeddings and ranking in OpenAI's form, at those who have it under other names."""

import json

import pytest

from liter._errors import BadRequestError, SerializationError
from liter._http import Headers
from liter.providers import known_providers
from liter.types import EmbeddingRequest, RerankRequest

KNOWN = known_providers()


@pytest.mark.parametrize(
    ("name", "fields", "sent"),
    [
        ("voyage", {"dimensions": 256, "input_type": "query"}, {"output_dimension": 256, "input_type": "query"}),
        ("doubleword", {"dimensions": 8}, {"dimensions": 8}),
    ],
)
def test_requests(name, fields, sent, call_of):
    """Parameters have the provider's names, and go to its own address."""
    provider = KNOWN[name]
    request = EmbeddingRequest(model="m", input=["a"], **fields)
    made = provider.encode(call_of(request, operation="embed", provider=name, base_url=provider.base_url))
    assert (made.base_url, made.path) == (provider.base_url, "/embeddings")
    assert json.loads(made.body) == {"model": "m", "input": ["a"], **sent}


def test_hugging_faces_pipelines(call_of):
    """The model is in the path, the texts are ``inputs``, and vectors come without an object around them."""
    provider = KNOWN["huggingface"]
    call = call_of(
        EmbeddingRequest(model="a/b", input=["x", "y"]),
        operation="embed",
        provider="huggingface",
        base_url=provider.base_url,
    )
    made = provider.encode(call)
    assert (made.base_url, made.path) == (
        "https://router.huggingface.co/hf-inference/pipeline/feature-extraction/a%2Fb",
        "",
    )
    assert json.loads(made.body)["inputs"] == ["x", "y"]
    several = provider.decode(call, b"[[1.5, 2], [3, 4]]", Headers())
    assert [(one.index, list(one.embedding)) for one in several.data] == [(0, [1.5, 2.0]), (1, [3.0, 4.0])]
    assert [list(one.embedding) for one in provider.decode(call, b" [1, 2.5]", Headers()).data] == [[1.0, 2.5]]


@pytest.mark.parametrize("body", [b'[["a"]]', b"[", b"[[[1.0]]]", b"[null]"])
def test_other_lists_are_no_vectors(body, call_of):
    """Lists of anything else are refused."""
    call = call_of(EmbeddingRequest(model="m", input="x"), operation="embed", provider="huggingface")
    with pytest.raises(SerializationError):
        KNOWN["huggingface"].decode(call, body, Headers())


def test_what_vectors_are_for_is_refused_where_it_has_no_name(call_of):
    """And nowhere dropped in silence."""
    request = EmbeddingRequest(model="m", input="x", input_type="query")
    with pytest.raises(BadRequestError, match="input_type"):
        KNOWN["openai"].encode(call_of(request, operation="embed"))


def test_voyage_ranks(call_of):
    """How many are wanted has another name, and results are under ``data``."""
    provider = KNOWN["voyage"]
    call = call_of(
        RerankRequest(model="rerank-2", query="q", documents=["a", "b"], top_n=1), operation="rerank", provider="voyage"
    )
    made = provider.encode(call)
    assert json.loads(made.body)["top_k"] == 1
    told = b'{"object":"list","data":[{"relevance_score":0.5,"index":1}],"model":"rerank-2","usage":{"total_tokens":7}}'
    reply = provider.decode(call, told, Headers())
    assert [(one.index, one.relevance_score) for one in reply.results] == [(1, 0.5)]
    assert reply.usage.prompt_tokens == 7
