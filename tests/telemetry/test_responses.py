"""The Responses API as telemetry tells it: a chat in another form, and responses that are fetched."""

import json

import pytest

from liter.telemetry._content import input_content, output_content
from liter.telemetry._request import request_attributes
from liter.testing import ModelReply, ResetAfterEvents, Simulator
from liter.testing import ToolCall as SimulatedCall
from liter.types import CreateResponseRequest, ResponseObject

from ._recorded import GPT, Recorded, attributes, serving

pytestmark = pytest.mark.anyio

TOOLS = [{"type": "function", "name": "look_up", "parameters": {"type": "object"}}]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_response_is_a_chat(recorded: Recorded, *, stream: bool) -> None:
    """Its span has the names of a chat's, with what came back, of a stream as of a whole one."""
    asked = {"model": GPT, "input": "hi", "max_output_tokens": 100, "reasoning": {"effort": "low"}}
    async with serving(Simulator(reply="In the hills."), recorded.tracing(capture_content=True)) as client:
        if stream:
            async for _ in await client.response_stream(**asked):
                pass
        else:
            response = await client.create_response(**asked)
    told = attributes(recorded.call)
    assert recorded.call.name == "chat gpt-simulated"
    assert recorded.attempts[0].name == "POST /v1/responses"
    assert told["openai.api.type"] == "responses"
    assert told["gen_ai.request.max_tokens"] == 100
    assert told["gen_ai.request.reasoning.level"] == "low"
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert str(told["gen_ai.response.id"]).startswith("resp_")
    assert "gen_ai.response.status" not in told
    assert told["gen_ai.usage.output_tokens"]
    assert ("gen_ai.response.time_to_first_chunk" in told) is stream
    if not stream:
        assert response.id == told["gen_ai.response.id"]
    assert json.loads(str(told["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": "hi"}]}
    ]
    (message,) = json.loads(str(told["gen_ai.output.messages"]))
    assert {"type": "text", "content": "In the hills."} in message["parts"]


async def test_a_response_that_calls_a_tool_or_breaks(recorded: Recorded) -> None:
    """Calls are the reason that it ended by; one that is cut has an error for a reason."""
    reply = ModelReply("", tool_calls=(SimulatedCall("look_up", "{}"),))
    async with serving(Simulator(reply=reply), recorded.tracing()) as client:
        await client.create_response(model=GPT, input="hi", tools=TOOLS)
    async with serving(Simulator(faults=[ResetAfterEvents(5)]), recorded.tracing()) as client:
        with pytest.raises(Exception, match=r".+"):
            async for _ in await client.response_stream(model=GPT, input="hi"):
                pass
    called, broken = map(attributes, recorded.calls)
    assert called["gen_ai.response.finish_reasons"] == ("tool_call",)
    assert broken["gen_ai.response.finish_reasons"] == ("error",)
    assert broken["error.type"] == "liter.StreamingError"


async def test_a_response_that_is_fetched(recorded: Recorded) -> None:
    """It is told by its id and its status, and its usage is not counted a second time."""
    async with serving(Simulator(), recorded.tracing(semconv="dual")) as client:
        response = await client.create_response(model=GPT, input="hi", store=True)
        await client.retrieve_response(response_id=response.id)
    fetched = recorded.calls[1]
    told = attributes(fetched)
    assert fetched.name == "fetch_response"
    assert told["gen_ai.response.id"] == response.id
    assert told["gen_ai.response.status"] == "completed"
    assert not any(".usage." in name for name in told)
    assert recorded.attempts[-1].name == "GET /v1/responses/{response_id}"
    counted = sum(getattr(point, "sum", 0) for point in recorded.points("gen_ai.client.token.usage"))
    assert response.usage is not None
    assert counted == response.usage.total_tokens


@pytest.mark.parametrize("after", [None, 0, 2])
async def test_a_response_that_is_followed_from_a_place_tells_it(recorded: Recorded, after: int | None) -> None:
    """The cursor is a text, also where it is 0; from the start on there is none."""
    async with serving(Simulator(reply="In the hills."), recorded.tracing()) as client:
        response = await client.create_response(model=GPT, input="hi", background=True)
        async with await client.retrieve_response_stream(response_id=response.id, starting_after=after) as followed:
            numbers = [event.sequence_number async for event in followed]
    assert numbers[0] == (0 if after is None else after + 1)
    told = attributes(recorded.calls[1])
    assert told["gen_ai.operation.name"] == "fetch_response"
    assert told.get("gen_ai.request.stream_cursor") == (None if after is None else str(after))


async def test_what_a_request_refers_to(recorded: Recorded) -> None:
    """Conversation, earlier response, kept prompt and form of the text are attributes."""
    request = CreateResponseRequest(
        model="m",
        input="hi",
        conversation={"id": "conv_1"},
        prompt={"id": "pmpt_1", "version": "2"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {}}},
    )
    from liter import Call, Route

    call: Call[object] = Call(
        operation="create_response",
        request=request,
        route=Route(provider="openai", model="m", base_url="https://x.invalid"),
    )
    assert request_attributes(call, "openai") == {
        "gen_ai.conversation.id": "conv_1",
        "gen_ai.prompt.name": "pmpt_1",
        "gen_ai.prompt.version": "2",
        "gen_ai.output.type": "json",
        "openai.api.type": "responses",
    }


async def test_items_are_messages() -> None:
    """Each kind of item has its part; of the provider's own tools the kind alone is told."""
    request = CreateResponseRequest(
        model="m",
        instructions="be brief",
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "hi"},
                                         {"type": "input_image", "image_url": "https://x.invalid/a.png"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
        ],
    )  # fmt: skip
    assert input_content(request) == {
        "gen_ai.system_instructions": [{"type": "text", "content": "be brief"}],
        "gen_ai.input.messages": [
            {"role": "user", "parts": [{"type": "text", "content": "hi"},
                                       {"type": "uri", "modality": "image", "uri": "https://x.invalid/a.png"}]},
            {"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {"a": 1}, "id": "c1"}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "response": "42", "id": "c1"}]},
        ],
    }  # fmt: skip
    response = ResponseObject(
        status="completed",
        output=[
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "web_search_call", "id": "w1", "action": {"query": "canary"}},
            {
                "type": "message",
                "content": [{"type": "output_text", "text": "so"}, {"type": "refusal", "refusal": "no"}],
            },
        ],
    )
    assert output_content(response, finish_reason=True) == {
        "gen_ai.output.messages": [
            {"role": "assistant", "finish_reason": "stop", "parts": [
                {"type": "reasoning", "content": "hm"},
                {"type": "web_search_call"},
                {"type": "text", "content": "so"},
                {"type": "refusal", "content": "no"},
            ]}
        ]
    }  # fmt: skip
