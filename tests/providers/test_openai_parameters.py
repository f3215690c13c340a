"""What becomes of each parameter on OpenAI's wire, and on the wires of those who differ from it by their records."""

import json

import pytest
from msgspec.structs import replace

from liter._errors import BadRequestError
from liter.providers import OpenAI, known_providers
from liter.providers._openai import PARAMETERS
from liter.types import ChatCompletionRequest

from . import _parameter_table as table

# What the parameters that are put into another form add to the body.
MAPPED = {
    "response_format": {"response_format": table.VALUES["response_format"]},
    "stream_options": {"stream_options": {"include_usage": False}},
    "extra_body": {"own": 1},
}
# How each imitator says the effort "high".
EFFORTS = {
    "dashscope": {"enable_thinking": True},
    "deepseek": {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
    "minimax": {"reasoning_split": True},
    "moonshot": {"thinking": {"type": "enabled"}},
    "sambanova": {"chat_template_kwargs": {"enable_thinking": True}},
    "wandb": {"chat_template_kwargs": {"enable_thinking": True}},
    "zai": {"thinking": {"type": "enabled"}},
}
PROVIDERS = ("groq", "cerebras", "perplexity", "volcengine", "azure", "azure-ai", "github-copilot", *EFFORTS)


def test_the_table_names_every_parameter():
    """None is forgotten."""
    table.check_table(PARAMETERS)
    for name in PROVIDERS:
        table.check_table(known_providers()[name].parameters("chat"))


@pytest.mark.parametrize("name", table.PARAMETERS)
def test_every_parameter(name, call_of, caplog):
    """Each is sent under its own name, as OpenAI takes it."""
    table.check_parameter(OpenAI(), PARAMETERS, name, MAPPED, call_of, caplog)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_parameter_of_imitators(provider, call_of, caplog):
    """Each is sent, renamed, mapped, refused or dropped, as the record says."""
    codec = known_providers()[provider]
    rules = codec.parameters("chat")
    mapped = {**MAPPED, "reasoning_effort": EFFORTS.get(provider, {"thinking": {"type": "enabled"}})}
    for name in table.PARAMETERS:
        table.check_parameter(codec, rules, name, mapped, call_of, caplog)


def body_of(codec, call_of, **fields):
    request = ChatCompletionRequest(**{"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields})
    return json.loads(codec.encode(call_of(request, provider=codec.name)).body)


@pytest.mark.parametrize(
    ("provider", "effort", "sent"),
    [
        ("deepseek", "none", {"thinking": {"type": "disabled"}}),
        ("deepseek", "low", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("deepseek", "max", {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ("zai", "none", {"thinking": {"type": "disabled"}}),
        ("dashscope", "none", {"enable_thinking": False}),
        ("openrouter", "none", {"reasoning": {"enabled": False}}),
        ("openrouter", "low", {"reasoning_effort": "low"}),
        ("groq", "low", {"reasoning_effort": "low"}),
    ],
)
def test_efforts(provider, effort, sent, call_of):
    """How each says that a model is to think, or not to."""
    codec = known_providers()[provider]
    plain = body_of(codec, call_of)
    body = body_of(codec, call_of, reasoning_effort=effort)
    assert {name: value for name, value in body.items() if name not in plain} == sent


def test_what_the_caller_gives_wins_over_habits(call_of):
    """Fields that a provider gets unless they are given; ``extra_body`` over the effort."""
    parasail, zai = known_providers()["parasail"], known_providers()["zai"]
    assert body_of(parasail, call_of)["store"] is False
    assert body_of(parasail, call_of, store=True)["store"] is True
    own = {"thinking": {"type": "auto"}}
    assert body_of(zai, call_of, reasoning_effort="high", extra_body=own)["thinking"] == {"type": "auto"}


@pytest.mark.parametrize(
    ("provider", "role"), [("openai", "developer"), ("groq", "system"), ("openrouter", "developer")]
)
def test_the_developers_role(provider, role, call_of):
    """Who does not know it gets the system's."""
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    sent = body_of(known_providers()[provider], call_of, messages=messages)["messages"]
    assert sent[0] == {"role": role, "content": "Be brief."}


def test_texts_are_joined_where_parts_are_not_taken(call_of, caplog):
    """Parts that are no text are refused, or dropped with a warning."""
    publicai = known_providers()["publicai"]
    parts = [{"type": "text", "text": "Look:"}, {"type": "text", "text": "here."}]
    messages = [{"role": "user", "content": parts}]
    assert body_of(publicai, call_of, messages=messages)["messages"] == [{"role": "user", "content": "Look:\nhere."}]
    picture = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": [*parts, picture]}])
    with pytest.raises(BadRequestError, match="parts that are no text"):
        publicai.encode(call_of(request, provider="publicai"))
    sent = json.loads(publicai.encode(replace(call_of(request, provider="publicai"), unsupported="drop")).body)
    assert sent["messages"][0]["content"] == "Look:\nhere."
    assert "parts that are no text" in caplog.text
