"""The Responses API over the simulator: made, streamed, kept, fetched, given up, forgotten."""

import msgspec
import pytest

from liter import NotFoundError, ServerError, StreamingError
from liter.middleware import Cache
from liter.testing import CloseAfterEvents, ErrorEvent, ModelReply, Refuse, Simulator, ToolCall
from liter.types import FunctionCallItem, OutputMessage, ReasoningItem

from ._serving import serving

pytestmark = pytest.mark.anyio

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}


async def test_a_response_comes_typed_and_as_it_was_sent() -> None:
    """Items are mappings just as they came, with typed views; usage has the form that all operations have."""
    reply = ModelReply(text="In the hills.", thinking="Water runs down.")
    simulator = Simulator(reply=reply, faults=[Refuse(503)])
    async with serving(simulator) as client:
        response = await client.create_response(
            model="gpt-5", input="Where do rivers begin?", instructions="Be brief.", reasoning={"effort": "high"}
        )
    assert simulator.requests[-1].json == {
        "model": "gpt-5",
        "input": "Where do rivers begin?",
        "instructions": "Be brief.",
        "reasoning": {"effort": "high"},
    }
    assert response.output_text == response.text == "In the hills."
    assert response.reasoning_text == "Water runs down."
    assert [type(item) for item in response.items] == [ReasoningItem, OutputMessage]
    assert response.output[1]["content"][0]["text"] == "In the hills."
    assert response.status == "completed"
    assert response.usage.completion_tokens_details.reasoning_tokens > 0
    assert len(response.attempts) == 2
    assert response["usage"]["total_tokens"] == response.usage.total_tokens


async def test_a_function_is_called_and_its_output_goes_back() -> None:
    """The items of the first response, with the function's output, are the input of the next."""
    simulator = Simulator(reply=ModelReply(tool_calls=(ToolCall("weather", '{"city": "Rome"}'),)))
    async with serving(simulator) as client:
        first = await client.create_response(model="gpt-5", input="Rome?", tools=[WEATHER])
        (call,) = first.function_calls
        assert isinstance(call, FunctionCallItem)
        assert (call.name, call.arguments) == ("weather", '{"city": "Rome"}')
        await client.create_response(
            model="gpt-5", input=[{"role": "user", "content": "Rome?"}, *first.output, call.output("sunny")]
        )
    assert simulator.requests[-1].json["input"][1:] == [
        first.output[0],
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]


async def test_a_stream_passes_every_event_on() -> None:
    """Typed; the last one has the whole response, and the usage."""
    simulator = Simulator(reply=ModelReply(text="In the hills.", thinking="Water."))
    async with serving(simulator) as client:
        stream = await client.response_stream(model="gpt-5", input="?", reasoning={"effort": "low"})
        events = [event async for event in stream]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "In the hills."
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "In the hills."
    assert stream.usage == events[-1].response.usage
    assert msgspec.json.decode(events[0].raw)["type"] == "response.created"


async def test_an_error_right_after_the_beginning_is_still_a_refusal() -> None:
    """The events that begin a stream say nothing yet, so it is tried again; after text it is an error."""
    simulator = Simulator(
        reply="one two three", faults=[ErrorEvent(events=2), ErrorEvent(events=5), CloseAfterEvents(5)]
    )
    async with serving(simulator) as client:
        stream = await client.response_stream(model="gpt-5", input="?")
        with pytest.raises(ServerError):
            async for _ in stream:
                pass
        assert len(simulator.requests) == 2
        stream = await client.response_stream(model="gpt-5", input="?")
        with pytest.raises(StreamingError):
            async for _ in stream:
                pass


async def test_responses_are_kept_fetched_given_up_and_forgotten() -> None:
    """By their id, with what they were made of."""
    simulator = Simulator(reply="Fine.")
    async with serving(simulator) as client:
        made = await client.create_response(model="gpt-5", input="How are you?", background=True)
        assert made.status == "queued"
        fetched = await client.retrieve_response(response_id=made.id, include=["reasoning.encrypted_content"])
        assert simulator.requests[-1].path.endswith(f"/responses/{made.id}?include%5B%5D=reasoning.encrypted_content")
        assert (fetched.status, fetched.output_text) == ("completed", "Fine.")
        stream = await client.retrieve_response_stream(response_id=made.id, starting_after=3)
        assert "stream=true&starting_after=3" in simulator.requests[-1].path
        assert [event async for event in stream][-1].type == "response.completed"
        items = await client.list_input_items(response_id=made.id, limit=5, order="asc")
        assert simulator.requests[-1].path.endswith("/input_items?limit=5&order=asc")
        assert items.data[0]["content"] == "How are you?"
        following = await client.create_response(model="gpt-5", input="And now?", previous_response_id=made.id)
        assert following.previous_response_id == made.id
        walk = client.list_input_items(response_id=following.id, limit=1, order="asc")
        assert [item["content"] async for item in walk] == ["How are you?", "And now?"]
        assert simulator.requests[-1].path.endswith("limit=1&order=asc&after=item_0")
        assert (await client.cancel_response(response_id=made.id)).status == "cancelled"
        assert (await client.delete_response(response_id=made.id)).deleted
        with pytest.raises(NotFoundError):
            await client.retrieve_response(response_id=made.id)


async def test_a_response_that_fails_is_an_error_and_one_that_failed_is_none() -> None:
    """Making it raises; looking after it tells how it stands."""
    from liter._contract import Call, Route
    from liter.providers import OpenAI
    from liter.types import CreateResponseRequest

    body = msgspec.json.encode(
        {"id": "r", "object": "response", "status": "failed", "output": [],
         "error": {"code": "server_error", "message": "It broke."}}
    )  # fmt: skip
    request = CreateResponseRequest(model="m", input="?")
    route = Route(provider="openai", model="m", base_url="https://x")
    with pytest.raises(ServerError, match=r"It broke\."):
        OpenAI().decode(Call(operation="create_response", request=request, route=route), body)
    told = OpenAI().decode(Call(operation="retrieve_response", request=request, route=route), body)
    assert told.error == {"code": "server_error", "message": "It broke."}


async def test_responses_and_their_streams_are_cached() -> None:
    """A hit is equal, whole and as a stream."""
    simulator = Simulator(reply="Fine.")
    async with serving(simulator, middleware=[Cache()]) as client:
        one = await client.create_response(model="gpt-5", input="?")
        two = await client.create_response(model="gpt-5", input="?")
        first = [event async for event in await client.response_stream(model="gpt-5", input="?")]
        second = [event async for event in await client.response_stream(model="gpt-5", input="?")]
    assert (two.origin, one) == ("cache", two)
    assert first == second
    assert len(simulator.requests) == 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"input": None}, "input is missing"),
        ({"input": ["text"]}, r"input\[0\] must be an item"),
        ({"model": None}, "model must name one"),
        ({"temperature": 3}, "temperature must be"),
        ({"previous_response_id": "a", "conversation": "b"}, "not both"),
    ],
)
async def test_what_cannot_be_right_is_told_before_any_io(wrong: dict[str, object], told: str) -> None:
    """With what would be."""
    simulator = Simulator()
    async with serving(simulator) as client:
        with pytest.raises(ValueError, match=told):
            await client.create_response(**{"model": "gpt-5", "input": "?", **wrong})
    assert simulator.requests == []
