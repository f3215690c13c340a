"""Operations and providers as the conventions name them, and what each tells."""

from collections.abc import Callable, Mapping

import pytest
from opentelemetry.trace import SpanKind

from liter import Call, Route, Stack
from liter.providers import known_providers
from liter.telemetry import _names as names
from liter.testing import Outcome, ScriptedHandler
from liter.types import EmbeddingRequest, EmbeddingResponse, ImageGenerationRequest, Usage

from ._recorded import Recorded, attributes

MakeCall = Callable[..., Call[object]]

# The conventions' list; what is not on it is a name of our own, in lower snake case.
WELL_KNOWN = {
    "anthropic",
    "aws.bedrock",
    "azure.ai.inference",
    "azure.ai.openai",
    "cohere",
    "deepseek",
    "gcp.gemini",
    "gcp.gen_ai",
    "gcp.vertex_ai",
    "groq",
    "ibm.watsonx.ai",
    "mistral_ai",
    "moonshot_ai",
    "openai",
    "perplexity",
    "x_ai",
}


def test_every_provider_has_a_name_of_its_own() -> None:
    """Names are those of the conventions where there is one, and no two providers share one by accident."""
    made = {name: names.provider_name(name) for name in known_providers()}
    assert all(name in WELL_KNOWN or name == name.lower().replace("-", "_") for name in made.values())
    for provider, expected in {
        "openai": "openai",
        "anthropic": "anthropic",
        "bedrock": "aws.bedrock",
        "gemini": "gcp.gemini",
        "vertex": "gcp.vertex_ai",
        "vertex-anthropic": "gcp.vertex_ai",
        "azure-ai": "azure.ai.inference",
        "azure": "azure.ai.openai",
        "mistral": "mistral_ai",
        "moonshot": "moonshot_ai",
        "xai": "x_ai",
        "deepseek": "deepseek",
        "perplexity": "perplexity",
        "openrouter": "openrouter",
        "my-own": "my_own",
    }.items():
        assert names.provider_name(provider) == expected


def test_every_operation_has_a_name_or_none() -> None:
    """What runs a model has a span, what is only a request has none; deprecated names are not there."""
    operations = {operation for provider in known_providers().values() for operation in provider.operations}
    made = {operation: names.operation_name(operation, "openai") for operation in operations}
    assert made["chat"] == "chat"
    assert made["list_models"] is None
    for operation, expected in {
        "embed": "embeddings",
        "completions": "text_completion",
        "image_generate": "generate_content",
        "moderate": "moderation",
        "rerank": "rerank",
        "count_tokens": "count_tokens",
        "create_file": None,
        "retrieve_batch": None,
    }.items():
        assert names.operation_name(operation, "openai") == expected
    assert names.operation_name("chat", "gemini") == "generate_content"
    assert names.operation_name("chat", "vertex-anthropic") == "chat"


OPERATIONS: list[tuple[Mapping[str, object], object, str, Mapping[str, object]]] = [
    (
        {
            "operation": "embed",
            "request": EmbeddingRequest(model="e", input="hi", dimensions=256, encoding_format="float"),
        },
        EmbeddingResponse(model="e-1", usage=Usage(prompt_tokens=2, total_tokens=2)),
        "embeddings e",
        {
            "gen_ai.embeddings.dimension.count": 256,
            "gen_ai.request.encoding_formats": ("float",),
            "gen_ai.response.model": "e-1",
            "gen_ai.usage.input_tokens": 2,
        },
    ),
    (
        {
            "operation": "image_generate",
            "request": ImageGenerationRequest(model="i", prompt="p", response_format="url", n=2),
        },
        "image",
        "generate_content i",
        {"gen_ai.output.type": "image", "gen_ai.request.choice.count": 2},
    ),
    ({"operation": "count_tokens"}, "count", "count_tokens m", {}),
    ({"operation": "retrieve_response"}, "stored", "fetch_response m", {}),
    ({"operation": "speech"}, "sound", "generate_content m", {"gen_ai.output.type": "speech"}),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("fields", "value", "name", "told"), OPERATIONS, ids=[row[2] for row in OPERATIONS])
async def test_what_an_operation_tells(
    recorded: Recorded,
    make_call: MakeCall,
    fields: Mapping[str, object],
    value: object,
    name: str,
    told: Mapping[str, object],
) -> None:
    """Name, kind and attributes are those of the operation, and there are no others."""
    model = name.partition(" ")[2]
    call = make_call(**fields, route=Route(provider="openai", model=model, base_url="https://api.openai.com/v1"))
    usage = getattr(value, "usage", None) or Usage(prompt_tokens=0)
    async with Stack([recorded.tracing()], ScriptedHandler(Outcome(value=value, usage=usage)))(call):
        pass
    assert (recorded.call.name, recorded.call.kind) == (name, SpanKind.CLIENT)
    always = {
        "gen_ai.operation.name": name.partition(" ")[0],
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "server.address": "api.openai.com",
        "server.port": 443,
        "liter.attempts": 1,
    }
    found = attributes(recorded.call)
    if name.startswith("generate_content"):
        assert found.pop("gen_ai.usage.input_tokens") == found.pop("gen_ai.usage.output_tokens") == 0
    assert found == {**always, **told}


@pytest.mark.anyio
async def test_without_a_model_the_name_is_the_operation(recorded: Recorded, make_call: MakeCall) -> None:
    """There is nothing to add."""
    call = make_call(
        operation="moderate", route=Route(provider="openai", model="", base_url="https://api.openai.com/v1")
    )
    async with Stack([recorded.tracing()], ScriptedHandler("fine"))(call):
        pass
    assert recorded.call.name == "moderation"
    assert "gen_ai.request.model" not in attributes(recorded.call)


@pytest.mark.anyio
async def test_what_is_not_reported_is_absent(recorded: Recorded, make_call: MakeCall) -> None:
    """A count that the provider left out is not told as zero; one that it reported as zero is."""
    usage = Usage(prompt_tokens=0, completion_tokens=0, unreported=("completion_tokens",))
    async with Stack([recorded.tracing()], ScriptedHandler(Outcome(value="x", usage=usage)))(make_call()):
        pass
    told = attributes(recorded.call)
    assert told["gen_ai.usage.input_tokens"] == 0
    assert "gen_ai.usage.output_tokens" not in told
