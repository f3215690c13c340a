"""Bedrock's models by their own bodies, from the server's side: Claude, embeddings; rankings and token counts."""

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, TypeVar, cast

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from ._simulator_exchange import ReceivedRequest
from ._simulator_frames import frame
from ._simulator_model import Model
from ._simulator_steps import EVENT_STREAM, Data, Head, Step, json_answer
from ._simulator_text import count_tokens, prompt_tokens
from ._wire_anthropic import AnthropicWire
from ._wire_protocol import Headers, Refusal

Asked = TypeVar("Asked", bound=Struct)

_DIMENSIONS = 8
_INPUT_TOKENS = "x-amzn-bedrock-input-token-count"


class _Titan(Struct, rename="camel"):
    input_text: str = ""
    input_image: str | None = None
    dimensions: int | None = None


class _Cohere(Struct):
    input_type: str
    texts: list[str] = []
    inputs: list[dict[str, object]] = []
    output_dimension: int | None = None


class _NovaText(Struct, rename="camel"):
    value: str
    truncation_mode: str


class _NovaSingle(Struct, rename="camel"):
    embedding_purpose: str
    text: _NovaText | None = None
    embedding_dimension: int | None = None


class _Nova(Struct, rename="camel"):
    task_type: str
    single_embedding_params: _NovaSingle


class _Counted(Struct, rename="camel"):
    messages: list[dict[str, object]]
    system: list[dict[str, object]] = []
    tool_config: dict[str, object] = {}


class _CountedInput(Struct):
    converse: _Counted


class _Count(Struct):
    input: _CountedInput


class _Text(Struct):
    text: str


class _Query(Struct, rename="camel"):
    text_query: _Text


class _Document(Struct, rename="camel"):
    text_document: _Text | None = None
    json_document: dict[str, object] | None = None


class _Source(Struct, rename="camel"):
    inline_document_source: _Document


class _RerankingModel(Struct, rename="camel"):
    number_of_results: int | None = None


class _Reranking(Struct, rename="camel"):
    bedrock_reranking_configuration: _RerankingModel


class _Rerank(Struct, rename="camel"):
    queries: Annotated[list[_Query], Meta(min_length=1, max_length=1)]
    sources: Annotated[list[_Source], Meta(min_length=1)]
    reranking_configuration: _Reranking


class Invocations:
    """Answers what is no Converse."""

    def __init__(self, models: Sequence[str]) -> None:
        self._claude = AnthropicWire(models)

    def invoke(self, request: ReceivedRequest, model: Model, headers: Headers, name: str, action: str) -> list[Step]:
        """Answer an invocation: whose model it is tells the body.

        :raises Refusal: the body is none that the simulator knows
        """
        told: object = request.json
        body = cast("dict[str, object]", told) if isinstance(told, dict) else {}
        streamed = action == "invoke-with-response-stream"
        if body.get("anthropic_version") == "bedrock-2023-05-31":
            return self._chat(request, model, headers, name, body, streamed=streamed)
        if streamed or not body.keys() & {"inputText", "inputImage", "texts", "inputs", "singleEmbeddingParams"}:
            raise Refusal(400, "Malformed input request, please reformat your input and try again.")
        if "singleEmbeddingParams" in body:
            nova = _decoded(request, _Nova).single_embedding_params
            text = "" if nova.text is None else nova.text.value
            row = {"embeddingType": "TEXT", "embedding": _vector(model, text, nova.embedding_dimension)}
            return _answer(headers, {"embeddings": [row]}, count_tokens(text))
        if "inputText" in body or "inputImage" in body:
            titan = _decoded(request, _Titan)
            vector, tokens = _vector(model, titan.input_text, titan.dimensions), count_tokens(titan.input_text)
            return _answer(headers, {"embedding": vector, "inputTextTokenCount": tokens}, tokens)
        cohere = _decoded(request, _Cohere)
        texts = [*cohere.texts, *(msgspec.json.encode(one).decode() for one in cohere.inputs)]
        vectors = [_vector(model, text, cohere.output_dimension) for text in texts]
        reply = {"id": "simulated", "embeddings": vectors, "texts": cohere.texts, "response_type": "embeddings_floats"}
        return _answer(headers, reply, sum(map(count_tokens, texts)))

    def _chat(
        self,
        request: ReceivedRequest,
        model: Model,
        headers: Headers,
        name: str,
        body: Mapping[str, object],
        *,
        streamed: bool,
    ) -> list[Step]:
        fields = {field: value for field, value in body.items() if field != "anthropic_version"}
        whole = msgspec.json.encode({**fields, "model": name, "stream": streamed})
        asked = replace(
            request,
            path="/v1/messages",
            headers={**request.headers, "anthropic-version": "2023-06-01"},
            body=whole,
            json=msgspec.json.decode(whole),
        )
        # Anthropic's ids are made of its own header, which AWS does not send.
        steps = self._claude.answer(asked, model, (*headers, ("request-id", dict(headers)["x-amzn-requestid"])))
        return [_framed(step) for step in steps] if streamed else steps

    def count(self, request: ReceivedRequest, headers: Headers) -> list[Step]:
        """Count the tokens of a prompt."""
        asked = _decoded(request, _Count).input.converse
        contents: list[object] = [message.get("content") for message in asked.messages]
        total = prompt_tokens([asked.system, *contents], [asked.tool_config] if asked.tool_config else [])
        return json_answer(headers, {"inputTokens": total})

    def rerank(self, request: ReceivedRequest, headers: Headers) -> list[Step]:
        """Rank documents by the words that they share with the query."""
        asked = _decoded(request, _Rerank)
        wanted = set(asked.queries[0].text_query.text.lower().split())
        documents = [source.inline_document_source for source in asked.sources]
        texts = [one.text_document.text if one.text_document else str(one.json_document) for one in documents]
        scores = [len(wanted & set(text.lower().split())) / max(1, len(wanted)) for text in texts]
        limit = asked.reranking_configuration.bedrock_reranking_configuration.number_of_results
        best = sorted(range(len(texts)), key=lambda index: -scores[index])[:limit]
        results = [{"index": index, "relevanceScore": scores[index]} for index in best]
        return json_answer(headers, {"results": results})


def _decoded(request: ReceivedRequest, kind: type[Asked]) -> Asked:
    try:
        return msgspec.json.decode(request.body, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(400, f"Malformed input request: {error}, please reformat your input and try again.") from error
    except msgspec.DecodeError as error:
        raise Refusal(400, f"The request body is not valid JSON: {error}", code="SerializationException") from error


def _vector(model: Model, text: str, size: int | None) -> list[float]:
    rng = model.random(f"embedding of {text}")
    return [round(rng.gauss(0, 1), 6) for _ in range(size or _DIMENSIONS)]


def _answer(headers: Headers, body: Mapping[str, object], tokens: int) -> list[Step]:
    counted = (*headers, (_INPUT_TOKENS, str(tokens)))
    return json_answer(counted, body)


def _framed(step: Step) -> Step:
    """A step of a stream of Anthropic's, as AWS sends it."""
    if isinstance(step, Head):
        return replace(step, headers=tuple((name, _type_of(name, value)) for name, value in step.headers))
    if not isinstance(step, Data):
        return step
    [data] = [line.removeprefix(b"data: ") for line in step.data.split(b"\n") if line.startswith(b"data: ")]
    return Data(frame("event", "chunk", {"bytes": base64.b64encode(data).decode(), "p": "abcdef"}))


def _type_of(name: str, value: str) -> str:
    return EVENT_STREAM if name == "content-type" else value
