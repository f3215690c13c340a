"""Checks a provider's table of parameters against what it really sends."""

import json
from collections.abc import Callable, Mapping

import pytest
from msgspec.structs import replace

from liter._contract import Call
from liter._errors import BadRequestError
from liter.providers import Provider
from liter.providers._parameters import Mapped, Renamed, Rule, Sent, Unsupported
from liter.types import ChatCompletionRequest

Body = dict[str, object]
CallOf = Callable[..., Call[object]]

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}

# A value of each parameter that asks for something, with what it needs beside it.
VALUES: Mapping[str, object] = {
    "max_completion_tokens": 7,
    "max_tokens": 7,
    "temperature": 0.5,
    "top_p": 0.9,
    "n": 2,
    "stop": "END",
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "top_logprobs": 2,
    "tools": [WEATHER],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    "reasoning_effort": "high",
    "verbosity": "low",
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "prediction": {"type": "content", "content": "Hi"},
    "web_search_options": {"search_context_size": "low"},
    "service_tier": "flex",
    "store": True,
    "metadata": {"a": "b"},
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "prompt_cache_options": {"mode": "explicit"},
    "safety_identifier": "s",
    "user": "u",
    "moderation": {"model": "m"},
    "stream_options": {"include_usage": False},
    "functions": [{"name": "f"}],
    "function_call": "auto",
    "extra_body": {"own": 1},
}
GIVEN = ("model", "messages")
PARAMETERS = sorted(VALUES)


def sent(
    provider: Provider, call_of: CallOf, *, unsupported: str = "raise", stream: bool = False, **given: object
) -> Body:
    """The body that a request with these parameters becomes."""
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "Hi"}], **given)
    call = replace(call_of(request, provider=provider.name, stream=stream), unsupported=unsupported)
    return json.loads(provider.encode(call).body)


def check_table(rules: Mapping[str, Rule]) -> None:
    """Every parameter of a request is in the table, and nothing else."""
    assert rules.keys() == {*VALUES, *GIVEN} == set(ChatCompletionRequest.__struct_fields__)


def check_parameter(
    provider: Provider,
    rules: Mapping[str, Rule],
    name: str,
    mapped: Mapping[str, Body],
    call_of: CallOf,
    caplog: pytest.LogCaptureFixture,
    **values: object,
) -> None:
    """One parameter is sent, renamed, mapped or refused, as the table says.

    :param mapped: what the parameters that are mapped add to the body; on a stream for ``stream_options``
    :param values: to take in place of those of the table, where the provider takes few
    """
    stream = name == "stream_options"
    plain = sent(provider, call_of, stream=stream)
    rule, value = rules[name], values.get(name, VALUES[name])
    if isinstance(rule, Unsupported):
        with pytest.raises(BadRequestError, match=repr(name)):
            sent(provider, call_of, **{name: value})
        assert sent(provider, call_of, unsupported="drop", stream=stream, **{name: value}) == plain
        assert repr(name) in caplog.text
        caplog.clear()
        for neutral in rule.neutral:
            assert sent(provider, call_of, **{name: neutral}) == sent(provider, call_of)
        assert not caplog.messages
        return
    body = sent(provider, call_of, stream=stream, **{name: value})
    added = {key: told for key, told in body.items() if plain.get(key) != told}
    match rule:
        case Sent():
            assert added == {name: value}
        case Renamed(to):
            assert added == {to: value}
        case Mapped():
            assert added == mapped[name]
