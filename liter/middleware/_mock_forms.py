"""What a text, and a whole reply, look like in each operation, and as the events of its stream."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar, cast

import msgspec
from msgspec.structs import replace

from ..types import (
    AssistantMessage,
    BinaryContent,
    ChatCompletionChunk,
    ChatCompletionResponse,
    Choice,
    ChunkChoice,
    CompletionChoice,
    CompletionResponse,
    Delta,
    ResponseEvent,
    ResponseObject,
    TranscriptionEvent,
    TranscriptionResponse,
    Usage,
    accumulate,
    chunk_of_reply,
)

JsonObject = dict[str, object]
V = TypeVar("V")
E = TypeVar("E")

# A word takes the blanks before it along; those at the end are one more.
_WORDS = re.compile(r"\s*\S+|\s+")


class Form(msgspec.Struct, Generic[V, E], frozen=True):
    """How an operation says things: ``whole`` at once, or ``event`` by event.

    :param reply: makes the whole reply of a text and a model; ``None`` where it does not say texts
    :param events: takes a whole reply apart
    :param join: puts events together; ``None`` where they do not say enough
    """

    whole: type[V]
    event: type[E]
    reply: Callable[[str, str], V] | None
    events: Callable[[V], Sequence[E]]
    join: Callable[[Sequence[E]], V | None]

    @property
    def needs(self) -> str:
        """What a list of events has to be for a whole reply, in words."""
        told = f"all are {self.event.__name__}"
        return f"{told}, and one has the response" if self.event is ResponseEvent else told


def _reply(text: str, model: str) -> ChatCompletionResponse:
    choice = Choice(message=AssistantMessage(content=text), finish_reason="stop")
    return ChatCompletionResponse(id="mock", model=model, choices=[choice], usage=Usage())


def chunks_of_reply(reply: ChatCompletionResponse) -> list[ChatCompletionChunk]:
    """Take a reply apart, so that ``accumulate`` makes the same of its chunks.

    The words of all choices come first, then what else their messages have, how they finished, and the usage.
    """
    head = ChatCompletionChunk(id=reply.id, created=reply.created, model=reply.model)
    chunks: list[ChatCompletionChunk] = []
    for choice in reply.choices:
        for place, word in enumerate(_WORDS.findall(choice.message.text)):
            delta = Delta(role=None if place else "assistant", content=word)
            chunks.append(replace(head, choices=[ChunkChoice(index=choice.index, delta=delta)]))
    whole = chunk_of_reply(reply)
    chunks.append(replace(whole, choices=[_rest(choice) for choice in whole.choices], usage=None))
    if reply.usage is not None:
        chunks.append(replace(head, usage=reply.usage))
    return chunks


def _rest(choice: ChunkChoice) -> ChunkChoice:
    """What is left to say of a choice once the words of its text are told."""
    delta = choice.delta
    told = bool(delta.content)
    return replace(
        choice, delta=replace(delta, role=None if told else "assistant", content=None if told else delta.content)
    )


def _completion(text: str, model: str) -> CompletionResponse:
    choice = CompletionChoice(text=text, finish_reason="stop")
    return CompletionResponse(id="mock", model=model, choices=[choice], usage=Usage())


def _pieces(reply: CompletionResponse) -> list[CompletionResponse]:
    pieces = [
        replace(reply, choices=[CompletionChoice(index=choice.index, text=word)], usage=None)
        for choice in reply.choices
        for word in _WORDS.findall(choice.text)
    ]
    return [*pieces, replace(reply, choices=[replace(choice, text="") for choice in reply.choices])]


def _joined(pieces: Sequence[CompletionResponse]) -> CompletionResponse | None:
    choices: dict[int, CompletionChoice] = {}
    usage = None
    for piece in pieces:
        usage = piece.usage or usage
        for choice in piece.choices:
            before = choices.get(choice.index)
            choices[choice.index] = choice if before is None else replace(choice, text=before.text + choice.text)
    return replace(pieces[0], choices=list(choices.values()), usage=usage) if pieces else None


def _response(text: str, model: str) -> ResponseObject:
    part: JsonObject = {"type": "output_text", "text": text, "annotations": list[JsonObject]()}
    message: JsonObject = {"id": "mock", "type": "message", "role": "assistant", "status": "completed"}
    message["content"] = [part]
    return ResponseObject(id="mock", status="completed", model=model, output=[message], usage=Usage())


def _events(response: ResponseObject) -> list[ResponseEvent]:
    begun = replace(response, status="in_progress", output=[], usage=None)
    events = [ResponseEvent(type="response.created", response=begun)]
    for index, item in enumerate(response.output):
        key = item.get("id")
        head = ResponseEvent(output_index=index, item_id=key if isinstance(key, str) else None)
        events.append(ResponseEvent(type="response.output_item.added", output_index=index, item=_begun(item)))
        arguments = item.get("arguments")
        if isinstance(arguments, str):
            kind = "response.function_call_arguments"
            events += [replace(head, type=f"{kind}.delta", delta=word) for word in _WORDS.findall(arguments)]
            events.append(replace(head, type=f"{kind}.done", arguments=arguments))
        for place, part in enumerate(cast("list[JsonObject]", item.get("content") or ())):
            text = part.get("text")
            if isinstance(text, str):
                told = replace(head, content_index=place)
                kind = "response.output_text" if item.get("type") == "message" else "response.reasoning_text"
                events += [replace(told, type=f"{kind}.delta", delta=word) for word in _WORDS.findall(text)]
                events.append(replace(told, type=f"{kind}.done", text=text))
        events.append(ResponseEvent(type="response.output_item.done", output_index=index, item=item))
    events.append(ResponseEvent(type=f"response.{response.status or 'completed'}", response=response))
    return [replace(event, sequence_number=number) for number, event in enumerate(events)]


def _begun(item: JsonObject) -> JsonObject:
    empty: JsonObject = {"content": [], "summary": [], "arguments": ""}
    return {**item, **{name: nothing for name, nothing in empty.items() if name in item}}


def _last_response(events: Sequence[ResponseEvent]) -> ResponseObject | None:
    return next((event.response for event in reversed(events) if event.response is not None), None)


def _transcription(text: str, model: str) -> TranscriptionResponse:
    return TranscriptionResponse(text=text, model=model, usage=Usage())


def _heard(reply: TranscriptionResponse) -> list[TranscriptionEvent]:
    words = [TranscriptionEvent(type="transcript.text.delta", delta=word) for word in _WORDS.findall(reply.text)]
    return [*words, TranscriptionEvent(type="transcript.text.done", text=reply.text, usage=reply.usage)]


def _text_heard(events: Sequence[TranscriptionEvent]) -> TranscriptionResponse | None:
    done = next((event for event in reversed(events) if event.type == "transcript.text.done"), None)
    text = "".join(event.delta for event in events) if done is None else done.text
    return TranscriptionResponse(text=text, usage=None if done is None else done.usage)


_CHAT = Form(ChatCompletionResponse, ChatCompletionChunk, _reply, chunks_of_reply, accumulate)
_COMPLETION = Form(CompletionResponse, CompletionResponse, _completion, _pieces, _joined)
_RESPONSE = Form(ResponseObject, ResponseEvent, _response, _events, _last_response)
_SOUND = Form(TranscriptionResponse, TranscriptionEvent, _transcription, _heard, _text_heard)
_BYTES: Form[BinaryContent, bytes] = Form(
    BinaryContent, bytes, None, lambda content: [bytes(content)], lambda pieces: BinaryContent(b"".join(pieces))
)

FORMS: Mapping[str, Form[object, object]] = cast(
    "Mapping[str, Form[object, object]]",
    {
        "chat": _CHAT,
        "completions": _COMPLETION,
        "create_response": _RESPONSE,
        "retrieve_response": _RESPONSE,
        "transcribe": _SOUND,
        "translate": _SOUND,
        "speech": _BYTES,
        "file_content": _BYTES,
    },
)
