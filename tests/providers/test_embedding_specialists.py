"""Voyage, Jina, and those who rerank in a form of their own: DeepInfra, NVIDIA, text-embeddings-inference."""

import json
from decimal import Decimal

import pytest
from msgspec.structs import replace

from liter import LlmClient
from liter._errors import BadRequestError, NotFoundError
from liter._http import Headers
from liter.providers import Unsupported, known_providers
from liter.types import EmbeddingRequest, RerankRequest

from ._answering import answering, said

KNOWN = known_providers()
PICTURE = {"type": "image_url", "image_url": {"url": "https://a.org/a.png"}}
DATA = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
TEXT = {"type": "text", "text": "a river"}


@pytest.fixture
def make(call_of):
    """Make a call of an operation."""

    def made(provider, request, unsupported="raise", base_url=None):
        operation = "embed" if isinstance(request, EmbeddingRequest) else "rerank"
        call = call_of(request, operation=operation, provider=provider, base_url=base_url or KNOWN[provider].base_url)
        return replace(call, unsupported=unsupported)

    return made


def sent(call):
    """Where it goes, and what is sent."""
    request = KNOWN[call.route.provider].encode(call)
    return request.base_url + request.path, json.loads(request.body)


def embedding(**given):
    """A request for vectors."""
    return EmbeddingRequest(**{"model": "m", "input": ["a"], **given})


def ranking(**given):
    """A request for an order."""
    return RerankRequest(**{"model": "m", "query": "q", "documents": ["a", "b"], **given})


def test_voyages_names(make):
    """Of numbers and best ones; what the input is for goes along."""
    request = embedding(dimensions=256, input_type="query", encoding_format="base64")
    assert sent(make("voyage", request)) == (
        "https://api.voyageai.com/v1/embeddings",
        {"model": "m", "input": ["a"], "output_dimension": 256, "input_type": "query", "encoding_format": "base64"},
    )
    assert sent(make("voyage", ranking(top_n=1, return_documents=True)))[1] == {
        "model": "m",
        "query": "q",
        "documents": ["a", "b"],
        "top_k": 1,
        "return_documents": True,
    }


def test_pictures_go_to_another_place_at_voyage(make):
    """Each input is one vector, of one part or of several."""
    request = embedding(
        input=[PICTURE, DATA, {"content": [TEXT, PICTURE]}], input_type="document", extra_body={"truncation": False}
    )
    assert sent(make("voyage", request)) == (
        "https://api.voyageai.com/v1/multimodalembeddings",
        {
            "model": "m",
            "inputs": [
                {"content": [{"type": "image_url", "image_url": "https://a.org/a.png"}]},
                {"content": [{"type": "image_base64", "image_base64": "data:image/png;base64,iVBO"}]},
                {"content": [TEXT, {"type": "image_url", "image_url": "https://a.org/a.png"}]},
            ],
            "input_type": "document",
            "truncation": False,
        },
    )
    both = sent(make("voyage", embedding(input=["a river", PICTURE], dimensions=512, encoding_format="base64")))[1]
    assert both["inputs"][0] == {"content": [TEXT]}
    assert (both["output_dimension"], both["output_encoding"]) == (512, "base64")
    with pytest.raises(BadRequestError, match="'user'"):
        sent(make("voyage", embedding(input=[PICTURE], user="u")))
    with pytest.raises(BadRequestError, match=r"input\[1\]: Voyage takes texts and content parts"):
        sent(make("voyage", embedding(input=[PICTURE, [1, 2]])))


def test_jinas_names(make):
    """What an input is for is a task, and pictures are told shortly."""
    request = embedding(
        input=[TEXT, PICTURE, DATA, {"audio": "https://a.org/a.mp3"}], input_type="document", dimensions=64
    )
    assert sent(make("jina", request)) == (
        "https://api.jina.ai/v1/embeddings",
        {
            "model": "m",
            "input": [
                {"text": "a river"},
                {"image": "https://a.org/a.png"},
                {"image": "iVBO"},
                {"audio": "https://a.org/a.mp3"},
            ],
            "task": "retrieval.passage",
            "dimensions": 64,
        },
    )
    plain = sent(make("jina", embedding(input_type="text-matching", encoding_format="base64")))[1]
    assert plain == {"model": "m", "input": ["a"], "task": "text-matching", "embedding_type": "base64"}
    assert sent(make("jina", ranking(top_n=1))) == (
        "https://api.jina.ai/v1/rerank",
        {"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 1},
    )


def test_every_recorded_request_to_voyage(recordings, make):
    """Can be made again; what it answered is read."""
    seen = 0
    for record in recordings("voyage", "embeddings", "rerank"):
        seen += 1
        body = record["response_body"].encode()
        told = record["request_body"]
        rerank = record["operation"] == "rerank"
        if told is None:
            call = make("voyage", embedding())
        elif rerank:
            own = {"truncation": told["truncation"]}
            request = RerankRequest(
                model=told["model"],
                query=told["query"],
                documents=told["documents"],
                top_n=told["top_k"],
                extra_body={
                    **own,
                    **({"return_documents": told["return_documents"]} if "return_documents" in told else {}),
                },
            )
            call = make("voyage", request)
        else:
            own = ("output_dimension", "output_dtype", "truncation", "encoding_format")
            request = EmbeddingRequest(
                model=told["model"],
                input=told["input"],
                input_type=told["input_type"],
                extra_body={name: told[name] for name in own},
            )
            call = make("voyage", request)
        if told is not None:
            url, made = sent(call)
            assert url == f"https://{record['host']}{record['path']}"
            # What is not said, and said to be nothing, are the same.
            assert {**made, "input_type": made.get("input_type")} == {"input_type": None, **told}
        if record["status"] != 200:
            assert isinstance(
                KNOWN["voyage"].error(call, record["status"], Headers(), body), (BadRequestError, NotFoundError)
            )
            continue
        raw = json.loads(body)
        response = KNOWN["voyage"].decode(call, body, Headers())
        assert response.usage.prompt_tokens == response.usage.total_tokens == raw["usage"]["total_tokens"]
        if rerank:
            assert [(one.index, one.relevance_score) for one in response.results] == [
                (one["index"], one["relevance_score"]) for one in raw["data"]
            ]
        else:
            assert [one.index for one in response.data] == [one["index"] for one in raw["data"]]
            assert all(len(one.embedding) for one in response.data)
    assert seen == 11


FORMS = {
    "deepinfra": (
        "Qwen/Qwen3-Reranker-0.6B",
        "https://api.deepinfra.com/v1/inference/Qwen/Qwen3-Reranker-0.6B",
        {"queries": ["q"], "documents": ["a", '{"text":"b","id":1}']},
        {"scores": [0.1, 0.9], "input_tokens": 12, "inference_status": {"cost": 0.00000012}},
    ),
    "nvidia": (
        "nvidia/llama-3.2-nv-rerankqa-1b-v2",
        "https://ai.api.nvidia.com/v1/retrieval/nvidia/llama-3_2-nv-rerankqa-1b-v2/reranking",
        {
            "model": "nvidia/llama-3.2-nv-rerankqa-1b-v2",
            "query": {"text": "q"},
            "passages": [{"text": "a"}, {"text": '{"text":"b","id":1}'}],
        },
        {"rankings": [{"index": 1, "logit": 0.9}, {"index": 0, "logit": 0.1}]},
    ),
    "huggingface": (
        "tei",
        "https://me.endpoints.huggingface.cloud/rerank",
        {"query": "q", "texts": ["a", '{"text":"b","id":1}']},
        [{"index": 0, "score": 0.1}, {"index": 1, "score": 0.9}],
    ),
}


@pytest.mark.parametrize("provider", FORMS)
def test_a_ranking_in_the_providers_own_form(make, provider):
    """Address and body to the letter; the best come first, as many as were asked for, with their documents."""
    model, url, body, answer = FORMS[provider]
    base_url = "https://me.endpoints.huggingface.cloud" if provider == "huggingface" else None
    request = ranking(
        model=model, documents=["a", {"text": "b", "id": 1}], top_n=1, return_documents=True, extra_body={"own": 1}
    )
    call = make(provider, request, base_url=base_url)
    assert sent(call) == (url, {**body, "own": 1})
    response = KNOWN[provider].decode(call, json.dumps(answer).encode(), Headers())
    assert [(one.index, one.relevance_score, one.document) for one in response.results] == [
        (1, 0.9, {"text": "b", "id": 1})
    ]
    everything = make(provider, ranking(model=model), base_url=base_url)
    plain = KNOWN[provider].decode(everything, json.dumps(answer).encode(), Headers())
    assert [(one.index, one.document) for one in plain.results] == [(1, None), (0, None)]
    if provider == "deepinfra":
        assert (response.usage.prompt_tokens, response.usage.reported_cost) == (12, Decimal("1.2E-7"))
    rules = KNOWN[provider].parameters("rerank")
    assert rules.keys() == {*RerankRequest.__struct_fields__}
    for name, value in (("user", "u"), ("max_tokens_per_doc", 10)):
        assert isinstance(rules[name], Unsupported)
        with pytest.raises(BadRequestError, match=repr(name)):
            sent(make(provider, ranking(model=model, **{name: value})))


def test_a_form_at_another_address(make):
    """Is that of the software that serves it."""
    request = ranking(model="nvidia/llama-3.2-nv-rerankqa-1b-v2")
    assert sent(make("nvidia", request, base_url="http://localhost:8000/v1"))[0] == "http://localhost:8000/v1/ranking"


@pytest.mark.anyio
async def test_pictures_as_vectors_through_the_client():
    """To the place for them, and back with their tokens."""
    received = []
    body = {
        "object": "list",
        "data": [{"embedding": [0.5, 0.25], "index": 0}],
        "model": "voyage-multimodal-3",
        "usage": {"text_tokens": 0, "image_pixels": 2000, "total_tokens": 215},
    }
    async with (
        answering(lambda request: said(body), received) as network,
        LlmClient(network_backend=network, api_keys={"voyage": "pa-key"}) as client,
    ):
        response = await client.embed(model="voyage/voyage-multimodal-3", input=[PICTURE])
    assert list(response.data[0].embedding) == [0.5, 0.25]
    assert response.usage.prompt_tokens == 215
    assert received[0].target == "/v1/multimodalembeddings"
    assert received[0].headers["authorization"] == "Bearer pa-key"
