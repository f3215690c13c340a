"""Messages of OpenAI's form as Gemini's: a system instruction, and turns of parts by ``user`` and ``model``.

Results of tools are the user's, and those of one turn's calls are one turn. They are told apart by the name of the
tool, and by the id of the call where Gemini gave it one. Instructions after the first turn have no place of their
own: they are sent as the user's, between ``<system>`` tags.
"""

import base64
from collections.abc import Mapping, Sequence

import msgspec

from .._errors import BadRequestError
from ..types import (
    AssistantMessage,
    DeveloperMessage,
    FunctionMessage,
    Message,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from ._gemini_calls import call_parts, is_made_up, text_of_parts
from ._gemini_json import JsonObject, fields_of, text_of
from ._gemini_parts import parts_of, pictures_of, refuse_breakpoint
from ._gemini_target import Target

_OBJECT = msgspec.json.Decoder(dict[str, object])

# What Gemini 3 takes in place of a signature with calls that it never made itself.
_UNSIGNED = base64.b64encode(b"skip_thought_signature_validator").decode()


def split_system(messages: Sequence[Message], target: Target) -> tuple[list[JsonObject], Sequence[Message]]:
    """Take the leading instructions off, as parts."""
    parts: list[JsonObject] = []
    for index, message in enumerate(messages):
        if not isinstance(message, SystemMessage | DeveloperMessage):
            return parts, messages[index:]
        parts += _plain_parts(message, f"messages[{index}]", target)
    return parts, ()


class Turns:
    """Makes the turns of a conversation, message by message."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._made: list[JsonObject] = []
        self._results: list[JsonObject] | None = None
        # The calls so far: what each is of, and the id that Gemini knows it by.
        self._calls: dict[str, tuple[str, str | None]] = {}

    def of(self, messages: Sequence[Message], first: int) -> list[JsonObject]:
        """Make the turns of ``messages``; ``first`` is the index of the first, for errors.

        :raises BadRequestError: a message says what Gemini's form cannot
        """
        for index, message in enumerate(messages, first):
            self._add(message, f"messages[{index}]")
        return self._made

    def _add(self, message: Message, where: str) -> None:
        target = self._target
        if isinstance(message, ToolMessage | FunctionMessage):
            parts = self._result(message, where)
            if self._results is None:
                self._results = parts
                self._turn("user", parts)
            else:
                self._results += parts
            return
        self._results = None
        if isinstance(message, AssistantMessage):
            self._turn("model", self._model_parts(message, where))
            return
        parts = _plain_parts(message, where, target)
        if isinstance(message, UserMessage):
            # Gemini takes an empty one, and an instruction alone is no conversation to it.
            parts = parts or [{"text": ""}]
        else:
            parts = [{**part, "text": f"<system>\n{part.get('text', '')}\n</system>"} for part in parts]
        self._turn("user", parts)

    def _turn(self, role: str, parts: list[JsonObject]) -> None:
        if parts:
            self._made.append({"role": role, "parts": parts})

    def _model_parts(self, message: AssistantMessage, where: str) -> list[JsonObject]:
        target = self._target
        refuse_breakpoint(message.cache_control, where, target)
        calls = [
            (call, _call(call, f"{where}.tool_calls[{index}]")) for index, call in enumerate(message.tool_calls or ())
        ]
        native = message.native_content
        if native is not None and native.provider == target.provider and _unchanged(native.blocks, message, calls):
            told = [(call, part) for (call, _), part in zip(calls, call_parts(native.blocks), strict=True)]
            self._know(told)
            return list(native.blocks)
        self._know(calls)
        if message.name is not None:
            target.cannot(f"{where}: the name {message.name!r}", "put it into its text")
        if message.audio is not None:
            target.cannot(f"{where}: audio of the model's", "give its transcript as content")
        parts = [block for block in message.thinking_blocks or () if block.get("thought") is True]
        parts += parts_of(message.content or "", where, target)
        if message.refusal:
            parts.append({"text": message.refusal})
        parts += pictures_of(message.images or (), where, target)
        made = [part for _, part in calls]
        if message.function_call is not None:
            made.append({"functionCall": _named(message.function_call.name, message.function_call.arguments, where)})
        if made and target.facts.signs_calls:
            made[0] = {**made[0], "thoughtSignature": _UNSIGNED}
        return parts + made

    def _know(self, calls: Sequence[tuple[ToolCall, JsonObject]]) -> None:
        for call, part in calls:
            self._calls[call.id] = (call.function.name, text_of(fields_of(part.get("functionCall")).get("id")))

    def _result(self, message: ToolMessage | FunctionMessage, where: str) -> list[JsonObject]:
        target = self._target
        if isinstance(message, FunctionMessage):
            return [{"functionResponse": {"name": message.name, "response": _response(message.content or "", False)}}]
        refuse_breakpoint(message.cache_control, where, target)
        name, wire_id = self._calls.get(message.tool_call_id, (message.name, message.tool_call_id))
        if name is None:
            raise BadRequestError(
                f"{where}: Gemini must be told which tool answered: no call before has the id"
                f" {message.tool_call_id!r}, so give the tool's name as 'name'"
            )
        parts = parts_of(message.content, where, target)
        text = "".join(str(part["text"]) for part in parts if "text" in part)
        others = [part for part in parts if "text" not in part]
        response: object = {} if others and not text else _response(text, message.is_error is True)
        result: JsonObject = {"name": name, "response": response}
        if wire_id and not is_made_up(wire_id):
            result["id"] = wire_id
        if others and target.facts.takes_parts_in_results:
            result["parts"] = others
            others = []
        return [{"functionResponse": result}, *others]


def _plain_parts(
    message: SystemMessage | DeveloperMessage | UserMessage, where: str, target: Target
) -> list[JsonObject]:
    if message.name is not None:
        target.cannot(f"{where}: the name {message.name!r}", "put it into its text")
    refuse_breakpoint(message.cache_control, where, target)
    native = message.native_content
    if native is not None and native.provider == target.provider and text_of_parts(native.blocks) == _text(message):
        return list(native.blocks)
    return parts_of(message.content, where, target)


def _text(message: SystemMessage | DeveloperMessage | UserMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(part.text for part in message.content if isinstance(part, TextPart))


def _response(text: str, is_error: bool) -> object:
    """A tool's answer as an object: as it is if it is one, else under the name that Gemini expects."""
    if is_error:
        return {"error": text}
    try:
        _OBJECT.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {"output": text}
    return msgspec.Raw(text.encode())


def _call(call: ToolCall, where: str) -> JsonObject:
    if call.custom is not None:
        raise BadRequestError(f"{where}: Gemini has no custom tools: make it a function")
    made = _named(call.function.name, call.function.arguments, where)
    if call.id and not is_made_up(call.id):
        made["id"] = call.id
    return {"functionCall": made}


def _named(name: str, arguments: str, where: str) -> JsonObject:
    try:
        _OBJECT.decode(arguments or "{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadRequestError(f"{where}: Gemini takes the arguments of a call only as a JSON object") from None
    return {"name": name, "args": msgspec.Raw((arguments or "{}").encode())}


def _unchanged(
    blocks: Sequence[JsonObject], message: AssistantMessage, calls: Sequence[tuple[ToolCall, Mapping[str, object]]]
) -> bool:
    """Whether the native form still says what the message says.

    What was changed since (by a guardrail, say) must not come back through the side door.
    """
    if isinstance(message.content, list) and not all(isinstance(part, TextPart) for part in message.content):
        return False
    parts = call_parts(blocks)
    return (
        text_of_parts(blocks) == message.text
        and len(parts) == len(calls)
        and all(
            _says(part) == (call.function.name, _OBJECT.decode(call.function.arguments or "{}"))
            for part, (call, _) in zip(parts, calls, strict=True)
        )
    )


def _says(part: Mapping[str, object]) -> tuple[object, object]:
    told = fields_of(part["functionCall"])
    return told.get("name"), fields_of(told.get("args"))
