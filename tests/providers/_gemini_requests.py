"""Reads recorded requests to Gemini the plain way: which request of ours says the same, and when two are one.

None of it uses the codec that it judges.
"""

import base64
import json
import re
from collections.abc import Iterable

from liter.types import (
    AssistantMessage,
    ChatCompletionRequest,
    DocumentPart,
    FileData,
    FilePart,
    FunctionCall,
    ImagePart,
    ImageUrl,
    InputAudio,
    InputAudioPart,
    NativeContent,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

Object = dict[str, object]

SENTINELS = {"skip_thought_signature_validator", base64.b64encode(b"skip_thought_signature_validator").decode()}
TYPES = {1: "string", 2: "number", 3: "integer", 4: "boolean", 5: "array", 6: "object"}


def canonical(body: Object) -> Object:
    """A request in one of the several forms that mean the same to Google's servers.

    Names in camel case; absent what is null, empty or the default; one list of tools; schemas in lower case, however
    they are given; turns of one role joined.
    """
    body = _plain(body)
    made: Object = {name: held for name, held in body.items() if name not in ("model", "contents", "systemInstruction")}
    turns: list[Object] = []
    for content in _list(body.get("contents")):
        role = "model" if content.get("role") == "model" else "user"
        parts = [part for part in map(_part, _list(content.get("parts"))) if part]
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        elif parts:
            turns.append({"role": role, "parts": parts})
    made["contents"] = turns
    system = [part for part in map(_part, _list((body.get("systemInstruction") or {}).get("parts"))) if part]
    if system:
        made["systemInstruction"] = system
    tools: dict[str, object] = {}
    for tool in _list(body.get("tools")):
        for kind, settings in tool.items():
            if kind == "functionDeclarations":
                tools.setdefault(kind, []).extend(_declaration(one) for one in settings)
            else:
                tools[kind] = settings
    made.pop("tools", None)
    if tools:
        made["tools"] = tools
    config = dict(body.get("generationConfig") or {})
    schema = config.pop("responseSchema", None) or config.pop("responseJsonSchema", None)
    if schema:
        config["schema"] = _schema(schema)
    if "thinkingLevel" in config.get("thinkingConfig", {}):
        config["thinkingConfig"]["thinkingLevel"] = config["thinkingConfig"]["thinkingLevel"].upper()
    made.pop("generationConfig", None)
    if config:
        made["generationConfig"] = config
    calling = (made.get("toolConfig") or {}).get("functionCallingConfig")
    if calling:
        calling["mode"] = calling["mode"].upper()
    return made


def _list(value: object) -> list[Object]:
    return value if isinstance(value, list) else [] if value is None else [value]


_OPAQUE = {
    "args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "labels",
}  # fmt: skip


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    made: Object = {}
    for given, held in value.items():
        name = re.sub(r"_([a-z])", lambda match: match.group(1).upper(), given)
        if held is None or held == [] or (name == "thought" and held is False):
            continue
        made[name] = held if name in _OPAQUE else _plain(held)
    return made


def _part(part: Object) -> Object:
    part = dict(part)
    if part.get("thoughtSignature") in SENTINELS:
        # It stands for a signature that is not there.
        del part["thoughtSignature"]
    if "functionCall" in part:
        part["functionCall"] = {"args": {}, **part["functionCall"]}
    return {} if part == {"text": ""} else part


def _declaration(told: Object) -> Object:
    told = dict(told)
    schema = told.pop("parameters", None) or told.pop("parametersJsonSchema", None)
    if schema:
        told["schema"] = _schema(schema)
    return told


def _schema(schema: object) -> object:
    if isinstance(schema, list):
        return [_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {}
    for name, held in schema.items():
        if name == "type" and isinstance(held, str | int):
            made[name] = TYPES.get(held, held) if isinstance(held, int) else held.lower()
        else:
            made["propertyOrdering" if name == "property_ordering" else name] = _schema(held)
    return made


def request_of(record: Object, provider: str) -> ChatCompletionRequest:
    """The request of ours that says what a recorded one does."""
    body = _plain(record["request_body"])
    model = re.search(r"(?:models|endpoints)/([^:/]+)", record["path"]).group(1)
    fields: Object = {}
    extra: Object = {
        name: held
        for name, held in body.items()
        if name not in ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model", "labels")
    }
    if "serviceTier" in extra:
        fields["service_tier"] = extra.pop("serviceTier")
    if "labels" in body:
        fields["metadata"] = body["labels"]
    strict = ((body.get("toolConfig") or {}).get("functionCallingConfig") or {}) == {"mode": "VALIDATED"}
    _read_tools(_list(body.get("tools")), strict, fields, extra)
    _read_choice(dict(body.get("toolConfig") or {}), fields, extra)
    _read_config(dict(body.get("generationConfig") or {}), model, fields, extra)
    messages: list[object] = []
    system = [part["text"] for part in _list((body.get("systemInstruction") or {}).get("parts"))]
    if any(system):
        messages.append(SystemMessage(content=[TextPart(text=text) for text in system]))
    messages += _read_contents(_list(body.get("contents")), provider)
    return ChatCompletionRequest(model=model, messages=messages, extra_body=extra or None, **fields)


def _read_contents(contents: list[Object], provider: str) -> Iterable[object]:
    waiting: list[tuple[str, str]] = []
    for turn, content in enumerate(contents):
        parts = [part for part in map(_part, _list(content["parts"])) if part]
        if content.get("role") == "model":
            calls = []
            for number, part in enumerate(part for part in parts if "functionCall" in part):
                call = part["functionCall"]
                call_id = call.get("id") or f"gemini-{turn}-{number}"
                waiting.append((call_id, call["name"]))
                function = FunctionCall(name=call["name"], arguments=json.dumps(call.get("args") or {}))
                calls.append(ToolCall(id=call_id, function=function))
            texts = [TextPart(text=part["text"]) for part in parts if "text" in part and not part.get("thought")]
            yield AssistantMessage(
                content=texts if len(texts) > 1 else texts[0].text if texts else None,
                tool_calls=calls or None,
                native_content=None
                if _is_simple(parts)
                else NativeContent(provider=provider, blocks=_list(content["parts"])),
            )
            continue
        rest = []
        for part in parts:
            if "functionResponse" not in part:
                rest.append(part)
                continue
            told = part["functionResponse"]
            paired = next((pair for pair in waiting if pair[1] == told["name"]), ("gemini-unknown", told["name"]))
            if paired in waiting:
                waiting.remove(paired)
            texts = [TextPart(text=json.dumps(told["response"]))] if told["response"] else []
            yield ToolMessage(
                tool_call_id=told.get("id") or paired[0],
                name=told["name"],
                content=[*texts, *(_read_part(inner) for inner in told["parts"])]
                if "parts" in told
                else json.dumps(told["response"]),
            )
        if any("videoMetadata" in part for part in rest):
            native = NativeContent(provider=provider, blocks=rest)
            yield UserMessage(content="".join(part.get("text", "") for part in rest), native_content=native)
        elif rest or not parts:
            yield UserMessage(content=[_read_part(part) for part in rest])


def _is_simple(parts: list[Object]) -> bool:
    """Whether OpenAI's form of a message says all that these parts do."""
    kinds = [next(iter(part)) for part in parts if part.keys() in ({"text"}, {"functionCall"})]
    return len(kinds) == len(parts) and kinds == sorted(kinds, reverse=True)


def _read_part(part: Object) -> object:
    if "text" in part:
        return TextPart(text=part["text"])
    if "fileData" in part:
        data = part["fileData"]
        if "mimeType" not in data:
            return FilePart(file=FileData(file_id=data["fileUri"]))
        return DocumentPart(url=data["fileUri"], media_type=data["mimeType"])
    kind, data = part["inlineData"]["mimeType"], part["inlineData"]["data"]
    if kind in ("audio/wav", "audio/mp3"):
        return InputAudioPart(input_audio=InputAudio(format=kind[6:], data=data))
    url = f"data:{kind};base64,{data}"
    return (
        ImagePart(image_url=ImageUrl(url=url)) if kind.startswith("image/") else FilePart(file=FileData(file_data=url))
    )


def _read_tools(tools: list[Object], strict: bool, fields: Object, extra: Object) -> None:
    read: list[object] = []
    for tool in tools:
        for kind, settings in tool.items():
            if kind != "functionDeclarations":
                read.append({"type": kind, **settings})
                continue
            for one in settings:
                if one.keys() - {"name", "description", "parameters", "parametersJsonSchema"}:
                    # The form of a tool's answer has no place in OpenAI's form.
                    extra["tools"] = tools
                    return
                function = {"name": one["name"], "parameters": one.get("parameters") or one.get("parametersJsonSchema")}
                if "description" in one:
                    function["description"] = one["description"]
                read.append({"type": "function", "function": {**function, **({"strict": True} if strict else {})}})
    if read:
        fields["tools"] = read


def _read_choice(config: Object, fields: Object, extra: Object) -> None:
    calling = config.pop("functionCallingConfig", None)
    if calling is not None:
        mode, names = calling["mode"].upper(), calling.get("allowedFunctionNames")
        if mode in ("AUTO", "NONE", "ANY") and not names:
            fields["tool_choice"] = {"AUTO": "auto", "NONE": "none", "ANY": "required"}[mode]
        elif mode == "ANY" and len(names) == 1:
            fields["tool_choice"] = {"type": "function", "function": {"name": names[0]}}
        elif mode == "ANY":
            allowed = [{"type": "function", "function": {"name": name}} for name in names]
            fields["tool_choice"] = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": allowed}}
        elif mode != "VALIDATED" or names:
            config["functionCallingConfig"] = calling
    if config:
        extra["toolConfig"] = config


_NAMES = {
    "topP": "top_p",
    "candidateCount": "n",
    "maxOutputTokens": "max_completion_tokens",
    "stopSequences": "stop",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
}


def _read_config(config: Object, model: str, fields: Object, extra: Object) -> None:
    for name, field in _NAMES.items():
        if name in config:
            fields[field] = config.pop(name)
    if config.get("temperature", 9) <= 2:
        fields["temperature"] = config.pop("temperature")
    if "responseModalities" in config:
        fields["modalities"] = [modality.lower() for modality in config.pop("responseModalities")]
    if config.get("responseMimeType") == "application/json":
        del config["responseMimeType"]
        schema = config.pop("responseSchema", None) or config.pop("responseJsonSchema", None)
        named = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
        fields["response_format"] = named if schema else {"type": "json_object"}
    thinking = config.get("thinkingConfig")
    if thinking == {"thinkingBudget": 0} and model.startswith("gemini-2.5-flash"):
        fields["reasoning_effort"] = "none"
        del config["thinkingConfig"]
    elif thinking and thinking.keys() == {"thinkingLevel", "includeThoughts"} and thinking["includeThoughts"]:
        fields["reasoning_effort"] = thinking["thinkingLevel"].lower()
        del config["thinkingConfig"]
    if config:
        extra["generationConfig"] = config
