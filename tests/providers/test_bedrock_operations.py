"""Embeddings, images, rankings, token counts and the list of models on Bedrock."""

import base64
import json
import struct

import pytest
from msgspec.structs import replace

from liter._errors import BadRequestError, ContentPolicyError, LlmError, NotFoundError, SerializationError
from liter._http import Headers
from liter.providers import Bedrock
from liter.providers._parameters import Unsupported
from liter.types import CountTokensRequest, EmbeddingRequest, ImageGenerationRequest, ListModelsRequest, RerankRequest

PROVIDER = Bedrock()
TITAN = "amazon.titan-embed-text-v2:0"
TITAN_IMAGE = "amazon.titan-embed-image-v1"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"
COHERE = "us.cohere.embed-v4:0"
CANVAS = "amazon.nova-canvas-v1:0"
STABLE = "stability.sd3-5-large-v1:0"
RERANK = "cohere.rerank-v3-5:0"
PIXEL = base64.b64encode(b"\x89PNG").decode()
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/PNG;base64,{PIXEL}"}}


@pytest.fixture
def make(call_of):
    """Make a call of an operation."""

    def made(operation, request, unsupported="raise", base_url="https://bedrock-runtime.us-east-1.amazonaws.com"):
        call = call_of(request, operation=operation, provider="bedrock", base_url=base_url)
        return replace(call, unsupported=unsupported)

    return made


def body(call):
    """The body that is sent."""
    return json.loads(PROVIDER.encode(call).body)


def headers(**told):
    """Headers of an answer."""
    return Headers([(f"x-amzn-{name.replace('_', '-')}".encode(), value.encode()) for name, value in told.items()])


def vectors_of(told):
    """The vectors in a raw reply."""
    if "embedding" in told:
        return [told["embedding"]]
    rows = told.get("data") or told["embeddings"]
    rows = rows["float"] if isinstance(rows, dict) else rows
    return [row["embedding"] if isinstance(row, dict) else row for row in rows]


def test_every_recorded_embedding(recordings, make):
    """Numbers, their order, and the tokens that the headers or the body tell."""
    count = 0
    for record in recordings("bedrock", "embeddings"):
        count += 1
        told = json.loads(record["response_body"])
        answered = [(name.encode(), value.encode()) for name, value in record["response_headers"].items()]
        call = make("embed", EmbeddingRequest(model="m", input="a"))
        reply = PROVIDER.decode(call, record["response_body"].encode(), Headers(answered))
        assert [one.index for one in reply.data] == list(range(len(reply.data)))
        single = [list(struct.unpack(f"<{len(row)}f", struct.pack(f"<{len(row)}f", *row))) for row in vectors_of(told)]
        assert [
            list(struct.unpack(f"<{len(one.embedding)}f", struct.pack(f"<{len(one.embedding)}f", *one.embedding)))
            for one in reply.data
        ] == single
        tokens = record["response_headers"].get("x-amzn-bedrock-input-token-count", told.get("inputTextTokenCount"))
        assert reply.usage.prompt_tokens == reply.usage.total_tokens == int(tokens)
    assert count > 10


def test_every_recorded_embedding_can_be_asked_for(recordings, make):
    """Read back into our request, it encodes to a body that means the same."""
    for record in recordings("bedrock", "embeddings"):
        told, model = record["request_body"], record["path"].split("/")[2].replace("%3A", ":")
        extra = {name: told[name] for name in ("truncate", "normalize", "max_tokens") if name in told}
        single = told.get("singleEmbeddingParams", {})
        if single:
            extra["singleEmbeddingParams"] = single
        request = EmbeddingRequest(
            model=model,
            input=told.get("inputText") or told.get("texts") or single["text"]["value"],
            input_type=told.get("input_type"),
            dimensions=told.get("dimensions"),
            encoding_format=told.get("embedding_types", [None])[0],
            extra_body=extra,
        )
        call = make("embed", request)
        assert body(call) == told
        assert PROVIDER.encode(call).path == f"/model/{model.replace(':', '%3A')}/invoke"


@pytest.mark.parametrize(
    ("model", "fields", "sent"),
    [
        (TITAN, {"dimensions": 256, "input_type": "query"}, {"inputText": "a", "dimensions": 256}),
        ("amazon.titan-embed-text-v1", {"encoding_format": "float"}, {"inputText": "a"}),
        (
            TITAN_IMAGE,
            {"dimensions": 384},
            {"inputText": "a", "embeddingConfig": {"outputEmbeddingLength": 384}},
        ),
        (TITAN_IMAGE, {"input": [PICTURE]}, {"inputImage": PIXEL}),
        (
            NOVA,
            {"input_type": "query", "dimensions": 256},
            {
                "taskType": "SINGLE_EMBEDDING",
                "singleEmbeddingParams": {
                    "embeddingPurpose": "GENERIC_RETRIEVAL",
                    "embeddingDimension": 256,
                    "text": {"value": "a", "truncationMode": "NONE"},
                },
            },
        ),
        (
            NOVA,
            {"input": [PICTURE], "input_type": "CLUSTERING"},
            {
                "taskType": "SINGLE_EMBEDDING",
                "singleEmbeddingParams": {
                    "embeddingPurpose": "CLUSTERING",
                    "image": {"format": "png", "source": {"bytes": PIXEL}},
                },
            },
        ),
        (COHERE, {"input": ["a", "b"]}, {"texts": ["a", "b"], "input_type": "search_document"}),
        (
            COHERE,
            {"input_type": "query", "dimensions": 256, "encoding_format": "base64", "extra_body": {"truncate": "END"}},
            {
                "texts": ["a"],
                "input_type": "search_query",
                "output_dimension": 256,
                "embedding_types": ["base64"],
                "truncate": "END",
            },
        ),
        (
            COHERE,
            {"input": [PICTURE, {"type": "text", "text": "a"}]},
            {
                "inputs": [{"content": [PICTURE]}, {"content": [{"type": "text", "text": "a"}]}],
                "input_type": "search_document",
            },
        ),
    ],
)
def test_what_embeddings_ask_for(make, model, fields, sent):
    """Each family has a body of its own."""
    assert body(make("embed", EmbeddingRequest(**{"model": model, "input": "a", **fields}))) == sent


@pytest.mark.parametrize(
    ("model", "fields", "complaint"),
    [
        (TITAN, {"input": ["a", "b"]}, "takes one text in a request, not 2"),
        (NOVA, {"input": ["a", "b"]}, "takes one text in a request, not 2"),
        (TITAN, {"input": [1, 2]}, "not token ids"),
        (COHERE, {"input": [[1], [2]]}, "not token ids"),
        (TITAN, {"input": [PICTURE]}, "takes texts alone"),
        (TITAN_IMAGE, {"input": [{"type": "image_url", "image_url": {"url": "https://i"}}]}, "data:image/png;base64"),
        (NOVA, {"input": [{"type": "text", "text": "a"}]}, "data:image/png;base64"),
        ("meta.llama3-8b", {}, "none of the embedding models that are known"),
        ("arn:aws:bedrock:us-east-1:1:provisioned-model/x", {}, "none of the embedding models that are known"),
    ],
)
def test_embeddings_that_bedrock_does_not_make(make, model, fields, complaint):
    """They are refused, whatever may be dropped."""
    with pytest.raises(BadRequestError, match=complaint):
        body(make("embed", EmbeddingRequest(**{"model": model, "input": "a", **fields}), "drop"))


@pytest.mark.parametrize(
    ("model", "fields", "what"),
    [
        (TITAN, {"encoding_format": "base64"}, "encoding_format='base64'"),
        ("amazon.titan-embed-text-v1", {"dimensions": 256}, "dimensions"),
        (TITAN, {"user": "u"}, "'user'"),
    ],
)
def test_details_of_embeddings_that_can_be_dropped(make, caplog, model, fields, what):
    """They are refused, or dropped with a warning, as the call says."""
    request = EmbeddingRequest(model=model, input="a", **fields)
    with pytest.raises(BadRequestError) as caught:
        body(make("embed", request))
    assert what in caught.value.message
    assert body(make("embed", request, "drop")) == {"inputText": "a"}
    assert what in caplog.text


def test_vectors_in_every_form(make):
    """Numbers and base64, by type and not; without a count of tokens the usage is unknown."""
    call = make("embed", EmbeddingRequest(model=COHERE, input="a"))
    coded = base64.b64encode(struct.pack("<2f", 1.0, 2.0)).decode()
    for told in (
        {"embedding": [1.0, 2.0]},
        {"embeddings": [[1.0, 2.0]]},
        {"embeddings": {"float": [[1.0, 2.0]], "int8": [[1, 2]]}},
        {"embeddings": {"base64": [coded]}},
        {"embeddings": [{"embeddingType": "TEXT", "embedding": [1.0, 2.0]}]},
        {"data": [{"embedding": [1.0, 2.0], "index": 0}]},
    ):
        reply = PROVIDER.decode(call, json.dumps(told).encode())
        assert [list(one.embedding) for one in reply.data] == [[1.0, 2.0]]
        assert reply.usage is None
    reply = PROVIDER.decode(call, b'{"embedding": [1]}', headers(bedrock_input_token_count="7"))
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens, reply.model) == (7, 7, COHERE)
    assert PROVIDER.decode(call, b'{"embedding": [1]}', headers(bedrock_input_token_count="seven")).usage is None


@pytest.mark.parametrize("told", ["{}", "[]", '{"embeddings": {"base64": ["*"]}}', "x", '{"embedding": "x"}'])
def test_embeddings_that_cannot_be_read(make, told):
    """It is told."""
    with pytest.raises(SerializationError, match="list of embeddings"):
        PROVIDER.decode(make("embed", EmbeddingRequest(model=TITAN, input="a")), told.encode())


@pytest.mark.parametrize(
    ("model", "fields", "sent"),
    [
        (CANVAS, {}, {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}}),
        (
            CANVAS,
            {
                "n": 2,
                "size": "1280x720",
                "quality": "hd",
                "seed": 7,
                "output_format": "png",
                "response_format": "b64_json",
                "background": "auto",
                "extra_body": {"x": 1},
            },
            {
                "taskType": "TEXT_IMAGE",
                "textToImageParams": {"text": "a cat"},
                "imageGenerationConfig": {
                    "numberOfImages": 2,
                    "width": 1280,
                    "height": 720,
                    "quality": "premium",
                    "seed": 7,
                },
                "x": 1,
            },
        ),
        (
            CANVAS,
            {"size": "auto", "quality": "auto"},
            {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}},
        ),
        (
            STABLE,
            {"size": "1920x1080", "output_format": "webp", "seed": 7, "n": 1, "extra_body": {"negative_prompt": "dog"}},
            {
                "prompt": "a cat",
                "aspect_ratio": "16:9",
                "output_format": "webp",
                "seed": 7,
                "negative_prompt": "dog",
            },
        ),
        (STABLE, {"size": "auto", "quality": "auto"}, {"prompt": "a cat"}),
    ],
)
def test_what_images_ask_for(make, model, fields, sent):
    """Each family has a body of its own."""
    call = make("image_generate", ImageGenerationRequest(**{"model": model, "prompt": "a cat", **fields}))
    assert body(call) == sent
    assert PROVIDER.encode(call).path == f"/model/{model.replace(':', '%3A')}/invoke"


@pytest.mark.parametrize(
    ("model", "fields", "what"),
    [
        (CANVAS, {"response_format": "url"}, "response_format='url'"),
        (CANVAS, {"output_format": "jpeg"}, "output_format='jpeg'"),
        (CANVAS, {"quality": "low"}, "quality='low'"),
        (CANVAS, {"style": "vivid"}, "'style'"),
        (STABLE, {"n": 2}, "n=2"),
        (STABLE, {"quality": "hd"}, "quality='hd'"),
        (STABLE, {"size": "1000x300"}, "size='1000x300', which is 10:3"),
    ],
)
def test_details_of_images_that_can_be_dropped(make, caplog, model, fields, what):
    """They are refused, or dropped with a warning, as the call says."""
    request = ImageGenerationRequest(model=model, prompt="a cat", **fields)
    with pytest.raises(BadRequestError) as caught:
        body(make("image_generate", request))
    assert what in caught.value.message
    plain = ImageGenerationRequest(model=model, prompt="a cat")
    assert body(make("image_generate", request, "drop")) == body(make("image_generate", plain))
    assert what in caplog.text


@pytest.mark.parametrize(
    ("model", "size", "complaint"), [(CANVAS, "big", "size must look like"), ("meta.llama3", None, "none of the image")]
)
def test_images_that_bedrock_does_not_make(make, model, size, complaint):
    """They are refused."""
    with pytest.raises(BadRequestError, match=complaint):
        body(make("image_generate", ImageGenerationRequest(model=model, prompt="a cat", size=size)))


def test_images(make):
    """They come in base64; what the model tells beside is kept."""
    call = make("image_generate", ImageGenerationRequest(model=STABLE, prompt="a cat"))
    told = {"images": [PIXEL], "seeds": [7], "finish_reasons": [None]}
    reply = PROVIDER.decode(call, json.dumps(told).encode())
    assert [image.content for image in reply.data] == [b"\x89PNG"]
    assert reply.native == {"seeds": [7], "finish_reasons": [None]}
    partly = {"images": [PIXEL, PIXEL], "error": "One image was blocked."}
    assert PROVIDER.decode(call, json.dumps(partly).encode()).native == {"error": "One image was blocked."}


@pytest.mark.parametrize(
    ("told", "kind", "words"),
    [
        ({"images": [PIXEL], "finish_reasons": ["Filter reason: prompt"]}, ContentPolicyError, "Filter reason: prompt"),
        ({"images": [], "finish_reasons": ["Filter reason: prompt"]}, ContentPolicyError, "Filter reason: prompt"),
        ({"images": [], "error": "No memory."}, LlmError, "No memory."),
        ({"images": {}}, SerializationError, "not a list of images"),
    ],
)
def test_images_that_were_not_made(make, told, kind, words):
    """It is an error, and why."""
    with pytest.raises(kind, match=words):
        PROVIDER.decode(
            make("image_generate", ImageGenerationRequest(model=STABLE, prompt="a cat")), json.dumps(told).encode()
        )


def test_a_ranking(make):
    """It is made by a service of its own, which knows models by their ARNs alone."""
    request = RerankRequest(
        model=RERANK,
        query="q",
        documents=["a", {"title": "b"}],
        top_n=1,
        max_tokens_per_doc=100,
        return_documents=True,
        extra_body={"nextToken": "t"},
    )
    call = make("rerank", request)
    sent = PROVIDER.encode(call)
    assert (sent.base_url, sent.path) == ("https://bedrock-agent-runtime.us-east-1.amazonaws.com", "/rerank")
    assert json.loads(sent.body) == {
        "queries": [{"type": "TEXT", "textQuery": {"text": "q"}}],
        "sources": [
            {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "a"}}},
            {"type": "INLINE", "inlineDocumentSource": {"type": "JSON", "jsonDocument": {"title": "b"}}},
        ],
        "rerankingConfiguration": {
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {
                "numberOfResults": 1,
                "modelConfiguration": {
                    "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{RERANK}",
                    "additionalModelRequestFields": {"max_tokens_per_doc": 100},
                },
            },
        },
        "nextToken": "t",
    }
    told = {"results": [{"index": 1, "relevanceScore": 0.9}, {"index": 0, "relevanceScore": 0.1}], "nextToken": "u"}
    reply = PROVIDER.decode(call, json.dumps(told).encode(), headers(requestid="r"))
    assert [(one.index, one.relevance_score, one.document) for one in reply.results] == [
        (1, 0.9, {"title": "b"}),
        (0, 0.1, {"text": "a"}),
    ]
    assert (reply.id, reply.model, reply.meta) == ("r", RERANK, {"nextToken": "u"})
    odd = PROVIDER.decode(call, b'{"results": [{"index": 9, "relevanceScore": 1}]}')
    assert odd.results[0].document is None


@pytest.mark.parametrize(
    ("model", "base_url", "settings", "arn"),
    [
        (
            RERANK,
            "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
            {},
            f"arn:aws-cn:bedrock:cn-north-1::foundation-model/{RERANK}",
        ),
        (
            RERANK,
            "http://localhost:1",
            {"region": "us-gov-west-1"},
            f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{RERANK}",
        ),
        ("arn:aws:bedrock:x:1:y/z", "http://localhost:1", {}, "arn:aws:bedrock:x:1:y/z"),
        (RERANK, "http://localhost:1", {}, None),
    ],
)
def test_the_arn_of_a_model(make, model, base_url, settings, arn):
    """It is made of the region that the address or the settings tell, in its partition."""
    call = make("rerank", RerankRequest(model=model, query="q", documents=["a"]), base_url=base_url)
    call = replace(call, route=replace(call.route, settings=settings))
    if arn is None:
        with pytest.raises(BadRequestError, match="give its ARN, or set AWS_REGION"):
            body(call)
        return
    config = body(call)["rerankingConfiguration"]["bedrockRerankingConfiguration"]
    assert config["modelConfiguration"]["modelArn"] == arn


def test_every_recorded_count_of_tokens(recordings, make):
    """Messages are sent as of a chat; the number, or the error, is read."""
    counted = 0
    for record in recordings("bedrock", "count_tokens"):
        told = record["response_body"].encode()
        asked = record["request_body"]["input"].get("converse")
        parts = [{"type": "text", "text": "Hi"}]
        if asked is not None:
            parts = []
            for block in asked["messages"][0]["content"]:
                if "text" in block:
                    parts.append({"type": "text", "text": block["text"]})
                else:
                    parts[-1]["cache_control"] = {"type": "ephemeral"}
        extra = {name: asked[name] for name in ("additionalModelRequestFields",) if name in (asked or {})}
        model = record["path"].split("/")[2].replace("%3A", ":")
        request = CountTokensRequest(model=model, messages=[{"role": "user", "content": parts}], extra_body=extra)
        call = make("count_tokens", request)
        if asked is not None:
            sent = PROVIDER.encode(call)
            del asked["system"]
            assert json.loads(sent.body) == {"input": {"converse": asked}}
            assert sent.path == record["path"]
        if record["status"] == 200:
            assert PROVIDER.decode(call, told).input_tokens == json.loads(told)["inputTokens"]
            counted += 1
        else:
            assert isinstance(PROVIDER.error(call, record["status"], Headers(), told), BadRequestError | NotFoundError)
    assert counted


def test_tokens_of_tools_and_of_a_text(make):
    """Tools count, and a text is a message of the user's."""
    tool = {"type": "function", "function": {"name": "f"}}
    sent = body(make("count_tokens", CountTokensRequest(model="m", text="Hi", tools=[tool])))["input"]["converse"]
    assert sent["messages"] == [{"role": "user", "content": [{"text": "Hi"}]}]
    assert sent["toolConfig"]["tools"][0]["toolSpec"]["name"] == "f"


def test_every_parameter_is_in_the_tables():
    """None is forgotten, and what is unsupported says so."""
    for operation, kind in (
        ("embed", EmbeddingRequest),
        ("image_generate", ImageGenerationRequest),
        ("rerank", RerankRequest),
    ):
        assert PROVIDER.parameters(operation).keys() == set(kind.__struct_fields__)
    assert isinstance(PROVIDER.parameters("rerank")["user"], Unsupported)


def test_a_list_of_models_that_cannot_be_read(make):
    """It is told."""
    with pytest.raises(SerializationError, match="not a list of models"):
        PROVIDER.decode(make("list_models", ListModelsRequest()), b"[]")


def test_every_recorded_invocation_of_other_operations_survives_damage(recordings, make):
    """Only an LlmError comes out of a damaged reply."""
    call = make("embed", EmbeddingRequest(model=TITAN, input="a"))
    for record in recordings("bedrock", "embeddings"):
        text = record["response_body"]
        for damaged in (text[:-1], text.replace("[", "{", 1), text.replace(":", ":null,", 1), f"[{text}]"):
            try:
                PROVIDER.decode(call, damaged.encode())
            except LlmError:
                continue
