"""Requests to Bedrock keep to AWS's own description of the service, which botocore brings."""

import json
from typing import Any

import pytest

from liter.providers import Bedrock
from liter.types import ChatCompletionRequest, CountTokensRequest, RerankRequest

from . import _parameter_table as table
from ._converse import request_of

loaders = pytest.importorskip("botocore.loaders")
model = pytest.importorskip("botocore.model")
validate = pytest.importorskip("botocore.validate")

PROVIDER = Bedrock()
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
DATA = "aGk="
CALL = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
PARTS = [
    {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
    {"type": "document", "data": DATA, "title": "d", "context": "c", "citations": {"enabled": True}},
    {"type": "document", "media_type": "text/plain", "data": DATA, "citations": {"enabled": True}},
    {"type": "document", "url": "s3://b/d.docx"},
    {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
    {"type": "file", "file": {"file_data": f"data:video/quicktime;base64,{DATA}"}},
    {"type": "file", "file": {"file_data": f"data:audio/mp4;base64,{DATA}"}},
]
CHAT = {
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": PARTS},
        {
            "role": "assistant",
            "content": "Let me see.",
            "thinking_blocks": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "x"},
            ],
            "tool_calls": [CALL],
        },
        {"role": "tool", "tool_call_id": "c", "content": PARTS[1:3], "is_error": False},
        {"role": "system", "content": "Be brief."},
    ],
    "max_tokens": 4096,
    "temperature": 1,
    "top_p": 0.5,
    "stop": ["END"],
    "tools": [
        {"type": "function", "function": {"name": "f", "strict": True}, "cache_control": {"type": "ephemeral"}},
        {"type": "systemTool", "name": "nova_code_interpreter"},
    ],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": False,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "description": "d", "schema": table.SCHEMA},
    },
    "reasoning_effort": "low",
    "service_tier": "priority",
    "metadata": {"a": "b"},
    "user": "u",
    "extra_body": {
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"},
        "performanceConfig": {"latency": "optimized"},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
    },
}


@pytest.fixture(scope="module")
def complaints():
    """Check a body against the description of an operation, and return what is wrong with it."""
    loader = loaders.Loader()
    made: dict[str, Any] = {}

    def check(service: str, operation: str, body: dict[str, object]) -> str:
        if service not in made:
            made[service] = model.ServiceModel(loader.load_service_model(service, "service-2"), service)
        shape = made[service].operation_model(operation).input_shape
        path = {"modelId": "m"} if "modelId" in shape.members else {}
        report = validate.ParamValidator().validate({**path, **body}, shape)
        return report.generate_report()

    return check


@pytest.mark.parametrize("name", ["anthropic.claude-opus-4-8-v1:0", SONNET])
@pytest.mark.parametrize("structured", ["native", "tool"])
def test_a_chat_that_says_all_there_is(call_of, complaints, name, structured):
    """All roles, parts and parameters at once; to models that know later instructions, and to others."""
    request = ChatCompletionRequest(model=name, **CHAT)
    body = json.loads(Bedrock(structured_output=structured).encode(call_of(request, provider="bedrock")).body)
    assert complaints("bedrock-runtime", "Converse", body) == ""
    assert {message["role"] for message in body["messages"]} >= {"user", "assistant"}


def test_the_check_finds_what_is_wrong(complaints):
    """It is no check that cannot fail."""
    assert "Unknown parameter" in complaints("bedrock-runtime", "Converse", {"messages": [], "max_tokens": 5})


def test_every_recorded_request(recordings, call_of, complaints):
    """As it is made again."""
    count = 0
    for record in recordings("bedrock", "converse"):
        if record["request_body_encoding"] != "json":
            continue
        request = ChatCompletionRequest(**request_of(record["path"], record["request_body"]))
        body = json.loads(PROVIDER.encode(call_of(request, provider="bedrock")).body)
        assert complaints("bedrock-runtime", "Converse", body) == "", record["id"]
        count += 1
    assert count > 200


def test_a_count_of_tokens(call_of, complaints):
    """Messages and tools, and nothing that only a chat has."""
    request = CountTokensRequest(model=SONNET, messages=CHAT["messages"], tools=CHAT["tools"])
    body = json.loads(PROVIDER.encode(call_of(request, provider="bedrock", operation="count_tokens")).body)
    assert complaints("bedrock-runtime", "CountTokens", body) == ""


def test_a_ranking(call_of, complaints):
    """Texts and objects."""
    request = RerankRequest(model="cohere.rerank-v3-5:0", query="q", documents=["a", {"b": 1}], top_n=1)
    base_url = "https://bedrock-runtime.us-east-1.amazonaws.com"
    call = call_of(request, provider="bedrock", operation="rerank", base_url=base_url)
    assert complaints("bedrock-agent-runtime", "Rerank", json.loads(PROVIDER.encode(call).body)) == ""
