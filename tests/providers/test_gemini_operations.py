"""Embeddings, token counts and lists of models, of the Gemini API and of Vertex AI."""

import json
import logging

import pytest
from msgspec.structs import replace

from liter._errors import BadRequestError, EndpointNotSupportedError, SerializationError
from liter.providers import Gemini, Vertex
from liter.providers._gemini_embeddings import PARAMETERS
from liter.providers._parameters import Unsupported
from liter.types import CountTokensRequest, EmbeddingRequest, ListModelsRequest

VERTEX = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/publishers/google"
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.fixture
def made(call_of):
    """Make the HTTP request of an operation."""

    def make(request: object, *, vertex: bool = False, unsupported: str = "raise"):
        operation = "embed" if isinstance(request, EmbeddingRequest) else "count_tokens"
        name, provider = ("vertex", Vertex()) if vertex else ("gemini", Gemini())
        call = call_of(request, operation=operation, provider=name, base_url=VERTEX)
        return provider.encode(replace(call, unsupported=unsupported))

    return make


SAID = {
    "model": ("gemini-embedding-001", {}),
    "input": ("a", {}),
    "encoding_format": ("base64", None),
    "dimensions": (8, {"outputDimensionality": 8}),
    "user": ("u", None),
    "input_type": ("query", {"taskType": "RETRIEVAL_QUERY"}),
    "extra_body": ({"title": "t"}, {"title": "t"}),
}


@pytest.mark.parametrize("name", EmbeddingRequest.__struct_fields__)
def test_every_parameter_of_embeddings_is_sent_or_refused(name, made, caplog):
    """As the table says; what is refused can be dropped."""
    value, expected = SAID[name]
    assert PARAMETERS.keys() == SAID.keys()
    assert isinstance(PARAMETERS[name], Unsupported) == (expected is None)
    request = EmbeddingRequest(**{"model": "gemini-embedding-001", "input": "a", name: value})
    plain = {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}}
    if expected is None:
        with pytest.raises(BadRequestError, match=name):
            made(request)
        with caplog.at_level(logging.WARNING, "liter"):
            assert json.loads(made(request, unsupported="drop").body) == {"requests": [plain]}
        assert name in caplog.text
        return
    assert json.loads(made(request).body) == {"requests": [{**plain, **expected}]}


def test_several_inputs_are_one_request(made):
    """Texts and pictures, each of which is one vector."""
    request = EmbeddingRequest(model="gemini-embedding-2", input=[PICTURE], input_type="clustering")
    sent = made(request)
    assert sent.path == "/models/gemini-embedding-2:batchEmbedContents"
    [one] = json.loads(sent.body)["requests"]
    assert one["content"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    assert one["taskType"] == "CLUSTERING"
    both = json.loads(made(EmbeddingRequest(model="m", input=["a", "b"])).body)
    assert [one["content"]["parts"] for one in both["requests"]] == [[{"text": "a"}], [{"text": "b"}]]


def test_token_ids_are_refused(made):
    """Gemini takes text."""
    with pytest.raises(BadRequestError, match="token ids"):
        made(EmbeddingRequest(model="m", input=[1, 2]))


def test_vertex_predicts_for_the_models_before(made):
    """Settings are parameters, a task is the instance's."""
    request = EmbeddingRequest(model="text-embedding-005", input=["a", "b"], dimensions=8, input_type="document")
    sent = made(request, vertex=True)
    assert sent.path == "/publishers/google/models/text-embedding-005:predict"
    assert json.loads(sent.body) == {
        "instances": [
            {"content": "a", "task_type": "RETRIEVAL_DOCUMENT"},
            {"content": "b", "task_type": "RETRIEVAL_DOCUMENT"},
        ],
        "parameters": {"outputDimensionality": 8},
    }
    with pytest.raises(BadRequestError, match="texts alone"):
        made(EmbeddingRequest(model="gemini-embedding-001", input=[PICTURE]), vertex=True)


def test_vertex_embeds_one_content_with_later_models(made):
    """There is no batch of them."""
    sent = made(EmbeddingRequest(model="google/gemini-embedding-2", input="a", dimensions=8), vertex=True)
    assert sent.path == "/publishers/google/models/gemini-embedding-2:embedContent"
    assert json.loads(sent.body) == {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 8}
    with pytest.raises(BadRequestError, match="one input at a time"):
        made(EmbeddingRequest(model="gemini-embedding-2", input=["a", "b"]), vertex=True)
    with pytest.raises(EndpointNotSupportedError, match="Google's own"):
        made(EmbeddingRequest(model="meta/embed", input="a"), vertex=True)


@pytest.mark.parametrize("name", ["gemini", "vertex"])
def test_recorded_vectors_decode(name, recordings, call_of):
    """All numbers in their order, and usage where there is one."""
    provider, counts = {"gemini": Gemini(), "vertex": Vertex()}[name], []
    for record in recordings(name, "embeddings"):
        if record["status"] != 200:
            continue
        told = json.loads(record["response_body"])
        vectors = told.get("embeddings") or [told.get("embedding")]
        if "predictions" in told:
            vectors = [one["embeddings"] for one in told["predictions"]]
        call = call_of(EmbeddingRequest(model="m", input="a"), operation="embed", provider=name)
        reply = provider.decode(call, record["response_body"].encode())
        assert [list(one.embedding) for one in reply.data] == [one["values"] for one in vectors], record["id"]
        assert [one.index for one in reply.data] == list(range(len(vectors)))
        counted = told.get("usageMetadata", {}).get("promptTokenCount")
        if "predictions" in told:
            counted = sum(one["statistics"]["token_count"] for one in vectors)
        assert (reply.usage and reply.usage.prompt_tokens) == counted
        counts.append(counted)
    assert any(counts)


@pytest.mark.parametrize("name", ["gemini", "vertex"])
def test_recorded_embeddings_can_be_asked_for(name, recordings, made):
    """A request that was recorded, read into ours, means the same."""
    tasks = {"RETRIEVAL_QUERY": "query", "RETRIEVAL_DOCUMENT": "document"}
    count = 0
    for record in recordings(name, "embeddings"):
        body, method = record["request_body"], record["path"].rpartition(":")[2]
        ones = body.get("requests") or body.get("instances") or [body]
        first = {"outputDimensionality": ones[0].get("output_dimensionality"), **body.get("parameters", {}), **ones[0]}
        task = first.get("taskType") or first.get("task_type")
        model = record["path"].rpartition("/")[2].partition(":")[0]
        request = EmbeddingRequest(
            model=model,
            input=[
                one["content"] if isinstance(one["content"], str) else one["content"]["parts"][0]["text"]
                for one in ones
            ],
            dimensions=first["outputDimensionality"],
            input_type=tasks.get(task, task),
            extra_body={"title": first["title"]} if "title" in first else None,
        )
        sent = made(request, vertex=name == "vertex")
        got = json.loads(sent.body)
        if method == "embedContent" and name == "gemini":
            # One input is a batch of one.
            [got], method = got["requests"], "batchEmbedContents"
            del got["model"]
        assert sent.path.endswith(f"/models/{model}:{method}")
        assert _same(got) == _same(body), record["id"]
        count += 1
    assert count > 6


def _same(body: dict[str, object]) -> object:
    text = json.dumps(body, sort_keys=True).replace("output_dimensionality", "outputDimensionality")
    told = json.loads(text.replace(', "role": "user"', ""))
    told.pop("model", None) if "requests" in told or "content" in told else None
    return told


def test_tokens_are_counted_of_a_whole_prompt(made):
    """With its instructions and tools: the Gemini API takes those only as a request for the reply."""
    request = CountTokensRequest(
        model="gemini-3-pro",
        messages=[{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        tools=[{"type": "function", "function": {"name": "f"}}],
    )
    prompt = {
        "contents": [{"role": "user", "parts": [{"text": "u"}]}],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
    }
    sent = made(request)
    assert sent.path == "/models/gemini-3-pro:countTokens"
    assert json.loads(sent.body) == {"generateContentRequest": {"model": "models/gemini-3-pro", **prompt}}
    sent = made(request, vertex=True)
    assert sent.path == "/publishers/google/models/gemini-3-pro:countTokens"
    assert json.loads(sent.body) == prompt
    assert json.loads(made(CountTokensRequest(model="m", text="u"), vertex=True).body) == {
        "contents": prompt["contents"]
    }


@pytest.mark.parametrize("name", ["gemini", "vertex"])
def test_recorded_counts_decode(name, recordings, call_of):
    """The number is the reply."""
    provider = {"gemini": Gemini(), "vertex": Vertex()}[name]
    call = call_of(CountTokensRequest(model="m", text="a"), operation="count_tokens", provider=name)
    for record in recordings(name, "count_tokens"):
        if record["status"] == 200:
            count = provider.decode(call, record["response_body"].encode())
            assert count.input_tokens == json.loads(record["response_body"])["totalTokens"]
    for body in (b"{}", b"[]", b"{", b'{"totalTokens": "x"}'):
        with pytest.raises(SerializationError, match="count"):
            provider.decode(call, body)


def test_recorded_lists_of_models_decode(recordings, call_of):
    """Names without their folder, and limits."""
    for record in recordings("gemini", "models"):
        told = json.loads(record["response_body"])
        if record["status"] != 200 or "models" not in told:
            continue
        reply = Gemini().decode(call_of(ListModelsRequest(), provider="gemini"), record["response_body"].encode())
        assert [f"models/{model.id}" for model in reply.data] == [one["name"] for one in told["models"]]
        assert [model.context_window for model in reply.data] == [one.get("inputTokenLimit") for one in told["models"]]
        assert reply.has_more == ("nextPageToken" in told)
    with pytest.raises(SerializationError, match="list of models"):
        Gemini().decode(call_of(ListModelsRequest(), provider="gemini"), b"<")
