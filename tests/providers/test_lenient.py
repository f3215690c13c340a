"""Odd bodies are mended, where nothing that was paid for is lost."""

import msgspec
import pytest

from liter.providers._lenient import decode_leniently
from liter.types import ChatCompletionResponse

REPLY = msgspec.json.Decoder(ChatCompletionResponse)


def read(body: bytes) -> ChatCompletionResponse:
    """Decode a reply leniently."""
    return decode_leniently(REPLY, body)


def test_a_count_that_is_no_number_makes_the_usage_unknown():
    """Unknown is None: zero tokens would be a wrong bill."""
    assert read(b'{"usage": {"prompt_tokens": "many", "completion_tokens": 1}}').usage is None
    assert read(b'{"usage": {"prompt_tokens": {}, "completion_tokens": 1}}').usage is None


def test_counts_may_be_text_or_have_a_point():
    """They are the same numbers."""
    usage = read(b'{"created": "12", "usage": {"prompt_tokens": "3", "completion_tokens": 4.0}}').usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (3, 4)


def test_a_label_of_another_type_is_left_out():
    """It costs nobody the reply."""
    assert read(b'{"id": "x", "model": "m", "service_tier": {"a": 1}, "provider": 5}').model == "m"


def test_an_odd_role_is_the_assistants():
    """Only the assistant answers."""
    [choice] = read(b'{"choices": [{"message": {"role": "model", "content": "Hi"}}]}').choices
    assert choice.message.content == "Hi"


def test_a_missing_id_of_a_call_is_empty():
    """Some have none to give."""
    [choice] = read(b'{"choices": [{"message": {"tool_calls": [{"function": {"name": "f"}}]}}]}').choices
    assert (choice.message.tool_calls[0].id, choice.message.tool_calls[0].function.name) == ("", "f")


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": {}}',
        b'{"choices": [5]}',
        b'{"choices": [{"message": "Hi"}]}',
        b'{"choices": [{"message": {"content": {"a": 1}}}]}',
        b'{"choices": [{"message": {"content": [{"type": "unheard_of"}]}}]}',
        b'{"choices": [{"message": {"tool_calls": 5}}]}',
        b'{"choices": [{"message": {"tool_calls": [{"id": "c", "function": {"name": []}}]}}]}',
    ],
)
def test_content_of_another_form_is_not_left_out(body):
    """A reply without what it said would be a lie."""
    with pytest.raises(msgspec.ValidationError):
        read(body)


def test_a_body_with_many_oddities_is_given_up():
    """Mending has an end."""
    body = msgspec.json.encode({"choices": [{"index": {}, "finish_reason": 5} for _ in range(50)]})
    with pytest.raises(msgspec.ValidationError):
        read(body)


@pytest.mark.parametrize(
    "body",
    [b'{"id": 5, "us\xa6ge": 1}', b'{"id": 5, "x": "\xff"}', b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
    ids=["name", "text", "deep"],
)
def test_what_is_no_utf8_or_too_deep_is_no_json(body):
    """One error for all that cannot be read."""
    with pytest.raises(msgspec.DecodeError):
        read(body)


def test_images_among_the_parts_are_images():
    """They are no text, and are not lost."""
    image = {"type": "image_url", "image_url": {"url": "data:,x"}}
    body = {"choices": [{"message": {"content": [{"type": "text", "text": "Look"}, image]}}]}
    [choice] = read(msgspec.json.encode(body)).choices
    assert (choice.message.content, choice.message.images) == ("Look", [image])


def test_one_odd_value_in_a_mapping_leaves_out_the_mapping_alone():
    """The decoder does not say under which name it stands."""

    class Counted(msgspec.Struct):
        text: str
        uses: dict[str, int] | None = None

    decoder = msgspec.json.Decoder(Counted)
    assert decode_leniently(decoder, b'{"text":"a","uses":{"x":1,"y":{}}}') == Counted("a")


def test_blocks_stay_blocks():
    """Where content is a list of them, mending something else does not make it a text."""

    class Spoken(msgspec.Struct):
        content: list[dict[str, object]]
        count: int = 0

    decoder = msgspec.json.Decoder(Spoken)
    told = decode_leniently(decoder, b'{"content":[{"type":"text","text":"a"}],"count":"3"}', blocks=True)
    assert told == Spoken([{"type": "text", "text": "a"}], 3)
