"""Whole replies of Anthropic's."""

import json

import pytest

from liter._errors import SerializationError, ServiceUnavailableError
from liter.providers import Anthropic
from liter.types import ChatCompletionRequest, ChatCompletionResponse, ListModelsRequest, ModelsListResponse, Usage

MESSAGE = {
    "id": "msg",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 5},
}


@pytest.fixture
def decode(call_of):
    """Decode a message with some fields changed."""

    def read(**fields: object) -> ChatCompletionResponse:
        call = call_of(ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}]))
        return Anthropic().decode(call, json.dumps({**MESSAGE, **fields}).encode())

    return read


def counts(usage: Usage) -> tuple[object, ...]:
    """The numbers of a usage."""
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        prompt and (prompt.cached_tokens, prompt.cache_write_tokens, prompt.cache_write_1h_tokens),
        completion and completion.reasoning_tokens,
    )


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"input_tokens": 10, "output_tokens": 5}, (10, 5, 15, None, None)),
        (
            {"input_tokens": 10, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 0, "output_tokens": 5},
            (100, 5, 105, (90, 0, None), None),
        ),
        (
            {
                "input_tokens": 1,
                "cache_read_input_tokens": 2,
                "cache_creation_input_tokens": 7,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
                "output_tokens": 9,
                "output_tokens_details": {"thinking_tokens": 6},
            },
            (10, 9, 19, (2, 7, 4), 6),
        ),
        # Compaction is billed and not in the sums above it; an advisor is another model with another price.
        (
            {
                "input_tokens": 1,
                "output_tokens": 2,
                "iterations": [
                    {"type": "compaction", "input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 50},
                    {"type": "message", "input_tokens": 1, "output_tokens": 2},
                    {"type": "advisor_message", "model": "other", "input_tokens": 1000, "output_tokens": 1000},
                ],
            },
            (151, 12, 163, (50, 0, None), None),
        ),
    ],
)
def test_usage_is_in_the_normal_form(decode, usage, told):
    """Prompts include what was cached, completions what was thought, and the total is their sum."""
    assert counts(decode(usage=usage).usage) == told


def test_uses_of_the_providers_tools_are_kept(decode):
    """They are billed."""
    usage = {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"web_search_requests": 2}}
    assert decode(usage=usage).usage.server_tool_use == {"web_search_requests": 2}


def test_what_sets_the_price_is_told(decode):
    """Tier, speed and region are those of the report, which says what was used."""
    told = {"service_tier": "priority", "speed": "fast", "inference_geo": "us"}
    made = decode(usage={"input_tokens": 1, "output_tokens": 1, **told}).usage
    assert (made.service_tier, made.speed, made.inference_geo, made.unreported) == ("priority", "fast", "us", ())


def test_an_advisors_usage_stands_beside_the_totals(decode):
    """Passes of another model are summed by its name, cached input with them."""
    passes = [
        {"type": "message", "input_tokens": 1, "output_tokens": 2},
        {
            "type": "advisor_message",
            "model": "other",
            "input_tokens": 10,
            "output_tokens": 20,
            "cache_read_input_tokens": 5,
        },
        {"type": "advisor_message", "model": "other", "input_tokens": 100, "output_tokens": 200},
    ]
    made = decode(usage={"input_tokens": 1, "output_tokens": 2, "iterations": passes}).usage
    assert made.total_tokens == 3
    (other,) = made.others.values()
    assert (other.prompt_tokens, other.completion_tokens, other.prompt_tokens_details.cached_tokens) == (115, 220, 5)


def test_no_usage_is_unknown(decode):
    """``None``, never zero."""
    assert decode(usage=None).usage is None


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        ("compaction", "compaction"),
        ("something_new", "something_new"),
        (None, None),
    ],
)
def test_stop_reasons_become_finish_reasons(decode, reason, told):
    """Anthropic's own word is kept beside OpenAI's."""
    [choice] = decode(stop_reason=reason).choices
    assert (choice.finish_reason, choice.native_finish_reason) == (told, reason)


def test_an_empty_message_has_no_content(decode):
    """Not an empty text."""
    assert decode(content=[]).choices[0].message.content is None


def test_an_error_under_a_status_of_success_is_an_error(decode):
    """A body without content tells one."""
    with pytest.raises(ServiceUnavailableError, match="Overloaded"):
        decode(content=None, type="error", error={"type": "overloaded_error", "message": "Overloaded"})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"<html>", b'{"content": 5}'])
@pytest.mark.parametrize(
    "request_",
    [ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}]), ListModelsRequest()],
)
def test_what_is_no_reply_is_told_as_such(call_of, body, request_):
    """With the body in the error."""
    if isinstance(request_, ListModelsRequest) and body == b'{"content": 5}':
        body = b'{"data": 5}'
    with pytest.raises(SerializationError) as caught:
        Anthropic().decode(call_of(request_), body)
    assert caught.value.body == body


def test_models_are_told_in_openais_form(call_of):
    """Times are Unix times; limits are kept."""
    body = {
        "data": [
            {
                "id": "a",
                "display_name": "A",
                "created_at": "1970-01-01T00:01:00Z",
                "max_input_tokens": 9,
                "max_tokens": 8,
            },
            {"id": "b", "created_at": "never"},
        ],
        "has_more": False,
    }
    models: ModelsListResponse = Anthropic().decode(call_of(ListModelsRequest()), json.dumps(body).encode())
    first, second = models.data
    assert (first.created, first.display_name, first.context_window, first.max_output_tokens) == (60, "A", 9, 8)
    assert (second.id, second.created, second.owned_by) == ("b", None, "anthropic")
    assert models.has_more is False


def test_usage_of_other_values_is_unknown(call_of):
    """A list of models has none."""
    assert Anthropic().usage(call_of(ListModelsRequest()), ModelsListResponse()) is None


def test_blocks_out_of_the_usual_order_are_kept(decode):
    """Thoughts between calls must go back where they were; text before calls is the usual order."""
    text, thought, use = {"type": "text", "text": "a"}, {"type": "thinking", "thinking": "t"}, {"type": "tool_use"}
    assert decode(content=[thought, text, use, use]).choices[0].message.native_content is None
    for blocks in ([text, thought], [thought, use, thought, use], [use, text]):
        assert decode(content=blocks).choices[0].message.native_content.blocks == blocks
