"""Operations beyond chat, over the simulator: each through the same stack, typed in and out."""

from pathlib import Path

import anyio
import numpy as np
import pytest

from liter import BadRequestError, EndpointNotSupportedError, LlmClient, SerializationError, StreamingError
from liter.middleware import Cache, Retry
from liter.testing import CloseAfterEvents, Refuse, Simulator
from liter.types import EmbeddingRequest, Vector

from ._serving import serving

pytestmark = pytest.mark.anyio


def sent(simulator: Simulator) -> dict[str, object]:
    """The body of the last request."""
    return simulator.requests[-1].json


@pytest.mark.parametrize(
    "inputs", ["one", ["one", "two"], [1, 2, 3], [[1, 2], [3]]], ids=["text", "texts", "ids", "id lists"]
)
async def test_embed_makes_one_vector_for_each_input(inputs: object) -> None:
    """Texts and token ids, alone and several; in the order of the inputs."""
    simulator = Simulator()
    async with serving(simulator) as client:
        response = await client.embed(model="text-embedding", input=inputs)
    count = 1 if inputs in ("one", [1, 2, 3]) else 2
    assert [one.index for one in response.data] == list(range(count))
    assert sent(simulator)["input"] == inputs
    assert len(EmbeddingRequest(model="m", input=inputs).items) == count
    assert response.usage.prompt_tokens > 0


@pytest.mark.parametrize("vector", ['"*no base64*"', '"AAA="', "null", '"AAAAAAA="', '["x"]', '[0.1, "x"]'])
async def test_a_vector_that_cannot_be_read_is_no_empty_one(vector: str) -> None:
    """The reply is refused, with the bytes as they came."""
    body = f'{{"data": [{{"index": 0, "embedding": "AAAAAA=="}}, {{"index": 1, "embedding": {vector}}}]}}'.encode()
    async with serving(Simulator(faults=[Refuse(200, body=body)])) as client:
        with pytest.raises(SerializationError, match="is not a list of embeddings") as caught:
            await client.embed(model="e", input=["a", "b"])
    assert caught.value.body == body


async def test_vectors_travel_as_base64_and_are_the_same_as_numbers() -> None:
    """Unless told otherwise; numpy's array shares their memory."""
    simulator = Simulator()
    async with serving(simulator) as client:
        packed = await client.embed(model="e", input=["a", "b"], dimensions=5)
        assert sent(simulator)["encoding_format"] == "base64"
        plain = await client.embed(model="e", input=["a", "b"], dimensions=5, encoding_format="float")
        assert sent(simulator)["encoding_format"] == "float"
    vector = packed.data[0].embedding
    assert isinstance(vector, Vector)
    assert list(vector) == list(plain.data[0].embedding)
    assert packed.array().shape == (2, 5)
    assert packed.array().dtype == np.float32
    assert np.shares_memory(vector.array(), vector.array())
    assert packed["data"][1]["embedding"] == list(packed.data[1].embedding)
    assert repr(vector).startswith("<5 numbers: ")


async def test_a_kind_of_input_is_refused_where_the_wire_has_none() -> None:
    """It would otherwise be lost in silence."""
    async with serving(Simulator()) as client:
        with pytest.raises(BadRequestError, match="openai does not take 'input_type'"):
            await client.embed(model="e", input="a", input_type="query")
        await client.embed(model="e", input="a", input_type="query", unsupported="drop")


async def test_rerank_orders_documents_best_first() -> None:
    """With their documents, when asked for."""
    documents = ["a hill", "where rivers begin", "rivers"]
    simulator = Simulator()
    async with serving(simulator, base_url="https://reranker.example/v1") as client:
        response = await client.rerank(
            model="r", query="where do rivers begin", documents=documents, top_n=2, return_documents=True
        )
    assert [one.index for one in response.results] == [1, 2]
    assert response.results[0].document == {"text": "where rivers begin"}
    assert sent(simulator) == {
        "model": "r",
        "query": "where do rivers begin",
        "documents": documents,
        "top_n": 2,
        "return_documents": True,
    }


async def test_moderate_keeps_categories_by_their_own_names() -> None:
    """Without a model, the provider's default; categories that were not looked for are None."""
    simulator = Simulator()
    async with serving(simulator) as client:
        response = await client.moderate(input=["be nice", "kill it"])
    assert sent(simulator) == {"input": ["be nice", "kill it"]}
    assert [one.flagged for one in response.results] == [False, True]
    assert response.results[1].categories == {"violence": True, "self-harm/intent": False, "illicit": None}


async def test_completions_whole_and_in_pieces_say_the_same() -> None:
    """Usage comes with both."""
    simulator = Simulator(reply="In the hills, mostly.")
    async with serving(simulator) as client:
        whole = await client.completions(model="instruct", prompt="Rivers begin", max_tokens=20)
        stream = await client.completions_stream(model="instruct", prompt="Rivers begin", max_tokens=20)
        pieces = [piece async for piece in stream]
    assert whole.text == "".join(piece.text for piece in pieces) == "In the hills, mostly."
    assert whole.usage == stream.usage
    assert whole.choices[0].finish_reason == "stop"
    assert stream.finished
    assert stream.closed


async def test_a_completion_that_breaks_off_is_an_error() -> None:
    """Not a short text."""
    async with serving(Simulator(reply="one two three four", faults=[CloseAfterEvents(2)])) as client:
        stream = await client.completions_stream(model="instruct", prompt="count")
        with pytest.raises(StreamingError):
            async for _ in stream:
                pass


async def test_images_come_whole_and_as_a_stream() -> None:
    """The stream shows unfinished ones before; tokens are normalised."""
    simulator = Simulator()
    async with serving(simulator) as client:
        response = await client.image_generate(model="gpt-image", prompt="a river", n=2, size="1024x1024")
        stream = await client.image_stream(model="gpt-image", prompt="a river", partial_images=2)
        events = [event async for event in stream]
    assert [image.content[:4] for image in response.data] == [b"\x89PNG", b"\x89PNG"]
    assert response.usage.completion_tokens == response.usage.completion_tokens_details.image_tokens == 544
    assert [event.partial_image_index for event in events] == [0, 1, None]
    assert events[-1].content == response.data[0].content
    assert stream.usage.total_tokens == stream.usage.prompt_tokens + 272


async def test_speech_is_bytes_whole_and_in_pieces() -> None:
    """With the facts of the answer."""
    simulator = Simulator()
    async with serving(simulator) as client:
        sound = await client.speech(model="tts", input="Where do rivers begin?", voice="alloy")
        stream = await client.speech_stream(model="tts", input="Where do rivers begin?", voice="alloy")
        pieces = [piece async for piece in stream]
    assert isinstance(sound, bytes)
    assert sound == b"".join(pieces)
    assert len(pieces) > 1
    assert sound.content_type == "audio/mpeg"
    assert sound.request_id
    assert repr(sound) == "<2200 bytes of audio/mpeg>"
    assert dict(simulator.requests[-1].headers)["accept"] == "*/*"


async def test_speech_that_is_left_stops() -> None:
    """The connection is closed, and the provider stops."""
    simulator = Simulator(event_latency=1.0)
    async with serving(simulator) as client:
        async with await client.speech_stream(model="tts", input="word " * 500, voice="alloy") as stream:
            async for _ in stream:
                break
        await anyio.sleep(0.1)
        assert simulator.in_flight == 0


CALLS = {
    "embed": {"model": "m", "input": ["a", "b"]},
    "rerank": {"model": "m", "query": "q", "documents": ["q"]},
    "moderate": {"input": "a"},
    "completions": {"model": "m", "prompt": "a"},
    "image_generate": {"prompt": "a"},
    "speech": {"model": "m", "input": "a", "voice": "alloy"},
}


@pytest.mark.parametrize("name", CALLS)
async def test_every_operation_is_retried_and_cached(name: str) -> None:
    """It passes through the same layers: a refusal is tried again, and the second call is a hit that is equal."""
    simulator = Simulator(faults=[Refuse(503)])
    # What is offered at an address of one's own nobody else knows.
    layers = [Cache(), Retry(initial=0.1)]
    async with serving(simulator, middleware=layers, base_url="https://mine.example/v1") as client:
        method = getattr(client, name)
        first = await method(**CALLS[name])
        second = await method(**CALLS[name])
    assert [attempt.status for attempt in first.attempts] == [503, 200]
    assert (first.origin, second.origin) == ("provider", "cache")
    assert first == second
    assert type(first) is type(second)
    assert len(simulator.requests) == 2


@pytest.mark.parametrize("name", CALLS)
async def test_what_a_provider_does_not_offer_is_told_before_any_io(name: str) -> None:
    """With those who do."""
    simulator = Simulator()
    async with serving(simulator, api_keys={"arcee": "sk-other"}) as client:
        with pytest.raises(EndpointNotSupportedError, match=f"arcee does not offer {name}; these do: .*, "):
            await getattr(client, name)(**{**CALLS[name], "model": "arcee/m"})
    assert simulator.requests == []


@pytest.mark.parametrize(
    ("name", "wrong", "told"),
    [
        ("embed", {"input": ""}, "input must not be empty"),
        ("embed", {"input": []}, "input must not be empty"),
        ("embed", {"dimensions": 0}, "dimensions must be a whole number, 1 or more"),
        ("embed", {"model": ""}, "model must name one"),
        ("rerank", {"documents": "text"}, "documents must be a list"),
        ("rerank", {"query": ""}, "query must be a text"),
        ("rerank", {"top_n": True}, "top_n must be"),
        ("completions", {"temperature": 3}, "temperature must be a number between 0 and 2"),
        ("image_generate", {"prompt": ""}, "prompt must be"),
        ("image_generate", {"partial_images": 4}, "partial_images must be a whole number, 0 to 3"),
        ("speech", {"speed": 5}, "speed must be a number between 0.25 and 4"),
        ("speech", {"voize": "x"}, "did you mean 'voice'"),
        ("ocr", {"model": "m", "document": "a.pdf"}, "document must be .*'document_url': 'https://...'.*, not 'a.pdf'"),
    ],
)
async def test_what_cannot_be_right_is_told_before_any_io(name: str, wrong: dict[str, object], told: str) -> None:
    """With what would be."""
    simulator = Simulator()
    async with serving(simulator) as client:
        with pytest.raises(ValueError, match=told):
            await getattr(client, name)(**{**CALLS.get(name, {}), **wrong})
    assert simulator.requests == []


async def test_a_reply_reads_like_a_dict() -> None:
    """For people who come from dicts; it also converts to plain dicts and JSON."""
    async with serving(Simulator(reply="Hello.")) as client:
        response = await client.chat(model="m", messages=[{"role": "user", "content": "hi"}])
    assert response["choices"][0]["message"]["content"] == "Hello."
    assert response.get("nothing", 5) == 5
    assert "usage" in response
    assert dict(response)["model"] == "m"
    assert response.to_dict()["usage"]["total_tokens"] == response.usage.total_tokens
    assert '"content":"Hello."' in response.to_json()
    assert "\n  " in response.to_json(indent=2)
    with pytest.raises(KeyError, match="did you mean 'choices'"):
        response["choises"]


@pytest.mark.parametrize("model", ["openai/gpt-simulated", "anthropic/claude-simulated", "gemini/gemini-simulated"])
async def test_tokens_are_counted_by_the_provider_where_it_can(model: str) -> None:
    """And by whom is told."""
    async with serving(Simulator(), api_keys={"anthropic": "sk-a", "gemini": "sk-g"}) as client:
        count = await client.count_tokens(model=model, messages=[{"role": "user", "content": "Where do rivers begin?"}])
    assert (count.source, count.input_tokens > 0) == ("provider", True)


async def test_tokens_are_counted_here_where_the_provider_cannot() -> None:
    """By a tokenizer that is given, else as an estimate by length; tools and other scripts count."""
    async with serving(Simulator(), api_keys={"cerebras": "sk-c"}) as client:
        counted = await client.count_tokens(
            model="cerebras/m", text="Where do rivers begin?", tokenizer=lambda text: len(text.split())
        )
        assert (counted.source, counted.input_tokens) == ("tokenizer", 4)
        guessed = await client.count_tokens(model="cerebras/m", text="Where do rivers begin?")
        assert (guessed.source, guessed.input_tokens) == ("estimate", 6)
        other = await client.count_tokens(model="cerebras/m", text="\u5ddd\u306f\u3069\u3053")
        assert other.input_tokens == 6
        hello = [{"role": "user", "content": "hello"}]
        tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
        bare = await client.count_tokens(model="cerebras/m", messages=hello)
        with_tools = await client.count_tokens(model="cerebras/m", messages=hello, tools=[tool])
        assert with_tools.input_tokens > bare.input_tokens == 8


async def test_models_are_listed_page_by_page() -> None:
    """By every provider in its own words, and by one that has no pages at once."""
    names = [f"model-{number}" for number in range(5)]
    simulator = Simulator(models=names)
    async with serving(simulator, api_keys={"anthropic": "sk-a"}) as client:
        assert [model.id async for model in client.list_models()] == names
        await client.list_models(provider="anthropic", limit=2, after="model-1")
        assert simulator.requests[-1].path.endswith("/models?limit=2&after_id=model-1")


@pytest.mark.parametrize("name", ["search", "ocr"])
async def test_operations_of_specialists_are_refused_by_others(name: str) -> None:
    """Naming those who have them."""
    arguments = {
        "search": {"model": "openai/search", "query": "rivers"},
        "ocr": {"model": "openai/ocr", "document": {"type": "document_url", "document_url": "https://a.example/b.pdf"}},
    }
    async with serving(Simulator()) as client:
        with pytest.raises(EndpointNotSupportedError, match=f"openai does not offer {name}"):
            await getattr(client, name)(**arguments[name])


async def test_openai_counts_messages_in_the_form_of_its_responses_api() -> None:
    """Every part of a conversation goes along: texts, images, files, calls of tools and their results."""
    simulator = Simulator()
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}}
    async with serving(simulator) as client:
        await client.count_tokens(
            model="gpt-simulated",
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "hi"}, image]},
                {"role": "assistant", "content": "Looking.", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": "sunny"},
            ],
            tools=[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
        )
    assert simulator.requests[-1].path.endswith("/responses/input_tokens")
    assert sent(simulator) == {
        "model": "gpt-simulated",
        "input": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "hi"},
                    {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"},
                ],
            },
            {"role": "assistant", "content": "Looking."},
            {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "sunny"},
        ],
        "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
    }


def test_every_method_is_typed_as_users_type_it() -> None:
    """Each is called in the files that type checkers read."""
    folder = Path(__file__).with_name("typing")
    text = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    methods = {name for name in dir(LlmClient) if not name.startswith("_")}
    assert [name for name in sorted(methods) if f"client.{name}" not in text and f"LlmClient.{name}" not in text] == []
