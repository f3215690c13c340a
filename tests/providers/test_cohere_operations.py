"""Cohere's embeddings, rankings and token counts."""

import json
import struct
from base64 import b64encode

import pytest
from msgspec.structs import replace

from liter._errors import BadRequestError, LlmError, NotFoundError, SerializationError
from liter._http import Headers
from liter.providers import known_providers
from liter.types import CountTokensRequest, EmbeddingRequest, RerankRequest, TranscriptionRequest

PROVIDER = known_providers()["cohere"]


@pytest.fixture
def make(call_of):
    """Make a call of an operation."""

    def made(operation, request, unsupported="raise"):
        call = call_of(request, operation=operation, provider="cohere", base_url=PROVIDER.base_url)
        return replace(call, unsupported=unsupported)

    return made


def body(call):
    """The body that is sent."""
    return json.loads(PROVIDER.encode(call).body)


def test_every_recorded_embedding(recordings, make):
    """Numbers, their order, and what is billed; the first version's bare lists, too."""
    call = make("embed", EmbeddingRequest(model="embed-v4.0", input="a"))
    count = 0
    for record in recordings("cohere", "embeddings"):
        count += 1
        raw = record["response_body"].encode()
        if record["status"] != 200:
            assert isinstance(PROVIDER.error(call, record["status"], Headers(), raw), NotFoundError)
            continue
        told = json.loads(raw)
        vectors = told["embeddings"]
        reply = PROVIDER.decode(call, raw, Headers())
        told_vectors = vectors if isinstance(vectors, list) else vectors.get("float") or next(iter(vectors.values()))
        assert [list(one.embedding) for one in reply.data] == told_vectors
        assert [one.index for one in reply.data] == list(range(len(told_vectors)))
        billed = told["meta"]["billed_units"]
        assert reply.usage.billed_units == billed
        assert reply.usage.prompt_tokens == billed.get("input_tokens", 0) + billed.get("image_tokens", 0)
        assert reply.usage.unreported == (() if "input_tokens" in billed else ("prompt_tokens",))
    assert count


def test_every_recorded_embedding_can_be_asked_for(recordings, make):
    """Read back into our request, it encodes to a body that means the same."""
    for record in recordings("cohere", "embeddings"):
        told = record["request_body"]
        if record["path"] != "/v2/embed" or told is None:
            continue
        extra = {name: value for name, value in told.items() if name == "truncate"}
        request = EmbeddingRequest(
            model=told["model"],
            input=told["texts"],
            input_type=told["input_type"],
            encoding_format=told.get("embedding_types", ["float"])[0],
            dimensions=told.get("output_dimension"),
            extra_body=extra or None,
        )
        sent = body(make("embed", request))
        meant = {name: value for name, value in told.items() if value is not None}
        assert sent == {"embedding_types": ["float"], **meant}


def test_every_recorded_ranking(recordings, make):
    """Places, scores, and what is billed."""
    count = 0
    for record in recordings("cohere", "rerank"):
        told, asked = json.loads(record["response_body"]), record["request_body"] or {}
        texts = asked.get("documents") or [str(number) for number in range(10)]
        request = RerankRequest(model="rerank-v3.5", query="q", documents=texts, top_n=asked.get("top_n"))
        call = make("rerank", replace(request, return_documents=True))
        reply = PROVIDER.decode(call, record["response_body"].encode(), Headers())
        assert [(one.index, one.relevance_score) for one in reply.results] == [
            (one["index"], one["relevance_score"]) for one in told["results"]
        ]
        assert [one.document for one in reply.results if one.document] == [
            {"text": texts[one["index"]]} if isinstance(texts[one["index"]], str) else texts[one["index"]]
            for one in told["results"]
        ]
        assert reply.usage.search_units == told["meta"]["billed_units"]["search_units"]
        assert (reply.id, reply.meta) == (told["id"], told["meta"])
        count += 1
    assert count


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"input": ["a", "b"]}, {"texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"]}),
        ({"input": "a", "input_type": "query"}, {"input_type": "search_query"}),
        ({"input": "a", "input_type": "clustering"}, {"input_type": "clustering"}),
        ({"input": "a", "encoding_format": "base64", "dimensions": 256},
         {"embedding_types": ["base64"], "output_dimension": 256}),
        ({"input": [{"type": "image_url", "image_url": {"url": "data:,x"}}]},
         {"inputs": [{"content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}]}),
        ({"input": "a", "extra_body": {"truncate": "END"}}, {"truncate": "END"}),
    ],
)  # fmt: skip
def test_requests_of_embeddings(make, given, sent):
    """Each parameter in Cohere's words."""
    call = make("embed", EmbeddingRequest(model="embed-v4.0", **given))
    assert body(call).items() >= {**sent, "model": "embed-v4.0"}.items()
    assert PROVIDER.encode(call).path == "/embed"


def test_what_embeddings_cannot_say(make):
    """Token ids, and who is asking."""
    with pytest.raises(BadRequestError, match=r"input\[0\].*not token ids"):
        body(make("embed", EmbeddingRequest(model="m", input=[1, 2])))
    request = EmbeddingRequest(model="m", input="a", user="u")
    with pytest.raises(BadRequestError, match="'user'"):
        body(make("embed", request))
    assert "user" not in body(make("embed", request, unsupported="drop"))


def test_vectors_of_other_types(make):
    """Base64 is single precision; where there are no plain numbers, what there is."""
    call = make("embed", EmbeddingRequest(model="m", input="a"))

    def vectors(**types):
        reply = PROVIDER.decode(call, json.dumps({"embeddings": types, "meta": {}}).encode(), Headers())
        assert reply.usage is None
        return [list(one.embedding) for one in reply.data]

    assert vectors(base64=[b64encode(struct.pack("<2f", 0.5, -1)).decode()]) == [[0.5, -1.0]]
    assert vectors(int8=[[1, -2]]) == [[1.0, -2.0]]
    assert vectors(int8=[[1]], float=[[0.25]]) == [[0.25]]
    assert vectors() == []
    with pytest.raises(SerializationError, match="the reply is not a list of embeddings"):
        vectors(base64=["AAA"])


def test_requests_of_rankings(make):
    """Documents that are objects are sent as their text, or as JSON."""
    documents = ["a", {"text": "b"}, {"title": "c", "text": "d"}]
    request = RerankRequest(model="r", query="q", documents=documents, top_n=2, return_documents=True)
    call = make("rerank", replace(request, max_tokens_per_doc=9, extra_body={"priority": 1}))
    assert body(call) == {
        "model": "r",
        "query": "q",
        "documents": ["a", "b", '{"title":"c","text":"d"}'],
        "top_n": 2,
        "max_tokens_per_doc": 9,
        "priority": 1,
    }
    assert PROVIDER.encode(call).path == "/rerank"
    with pytest.raises(BadRequestError, match="'user'"):
        body(make("rerank", replace(request, user="u")))


def test_counting_tokens(make):
    """Of a text, by the first version."""
    call = make("count_tokens", CountTokensRequest(model="command-a", text="Hi there"))
    sent = PROVIDER.encode(call)
    assert (sent.base_url, sent.path) == ("https://api.cohere.com/v1", "/tokenize")
    assert json.loads(sent.body) == {"text": "Hi there", "model": "command-a"}
    reply = PROVIDER.decode(call, b'{"tokens": [1, 2, 3], "token_strings": ["a", "b", "c"]}', Headers())
    assert (reply.input_tokens, reply.source) == (3, "provider")
    chat = CountTokensRequest(model="command-a", messages=[{"role": "user", "content": "Hi"}])
    with pytest.raises(BadRequestError, match="give a text"):
        PROVIDER.encode(make("count_tokens", chat))


@pytest.mark.parametrize("operation", ["embed", "rerank", "count_tokens"])
def test_what_is_no_reply(make, operation):
    """Nor an error of another class than ours."""
    requests = {
        "embed": EmbeddingRequest(model="m", input="a"),
        "rerank": RerankRequest(model="m", query="q", documents=["a"]),
        "count_tokens": CountTokensRequest(model="m", text="a"),
    }
    for raw in (
        b"",
        b"[]",
        b"{}",
        b'{"embeddings": 5}',
        b'{"results": [{}]}',
        b'{"tokens": "x"}',
        b'{"message": "no"}',
    ):
        with pytest.raises(LlmError):
            PROVIDER.decode(make(operation, requests[operation]), raw, Headers())


def test_a_place_that_there_is_not(make):
    """Has no document."""
    call = make("rerank", RerankRequest(model="m", query="q", documents=["a"], return_documents=True))
    reply = PROVIDER.decode(call, b'{"results": [{"index": 7, "relevance_score": 0.5}]}', Headers())
    assert (reply.results[0].document, reply.usage) == (None, None)


def test_transcriptions(make):
    """A form with the recording; what Cohere does not take is refused, or dropped."""
    request = TranscriptionRequest(model="cohere-transcribe", file=b"RIFF", language="en", response_format="json")
    call = make("transcribe", request)
    sent = PROVIDER.encode(call)
    assert (sent.path, dict(sent.headers)[b"content-type"][:30]) == (
        "/audio/transcriptions",
        b"multipart/form-data; boundary=",
    )
    assert sent.upload is not None
    reply = PROVIDER.decode(
        call, b'{"text": "Where do rivers begin?"}', Headers([(b"content-type", b"application/json")])
    )
    assert (reply.text, reply.usage) == ("Where do rivers begin?", None)
    asked = replace(request, prompt="rivers")
    with pytest.raises(BadRequestError, match="'prompt'"):
        PROVIDER.encode(make("transcribe", asked))
    assert PROVIDER.encode(make("transcribe", asked, unsupported="drop")).upload is not None
