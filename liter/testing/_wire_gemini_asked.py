"""What a request to Google's wire asks for, read as strictly as Google's servers do."""

import re
from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from ._simulator_model import Ask
from ._simulator_text import prompt_tokens
from ._wire_protocol import Refusal

Asked = TypeVar("Asked", bound=Struct)

# From its third generation on, Gemini wants its signature back with the first call of a turn.
_SIGNS = re.compile(r"gemini-(?:[3-9]|simulated)")


class _Content(Struct, forbid_unknown_fields=True):
    parts: list[dict[str, object]] = []
    role: str = "user"


class _Calling(Struct):
    mode: str = "AUTO"
    allowedFunctionNames: list[str] = []  # noqa: N815 # Google's names, here and below


class _ToolConfig(Struct):
    functionCallingConfig: _Calling = msgspec.field(default_factory=_Calling)  # noqa: N815


class _Declaration(Struct, forbid_unknown_fields=True):
    name: str
    description: str = ""
    parameters: dict[str, object] | None = None
    parametersJsonSchema: dict[str, object] | None = None  # noqa: N815
    response: dict[str, object] | None = None
    responseJsonSchema: dict[str, object] | None = None  # noqa: N815


class _Tool(Struct):
    functionDeclarations: list[_Declaration] = []  # noqa: N815


class _Thinking(Struct, forbid_unknown_fields=True):
    includeThoughts: bool = False  # noqa: N815
    thinkingBudget: int | None = None  # noqa: N815
    thinkingLevel: str | None = None  # noqa: N815


class _Config(Struct):
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    candidateCount: Annotated[int, Meta(ge=1, le=8)] = 1  # noqa: N815
    maxOutputTokens: Annotated[int, Meta(ge=1)] | None = None  # noqa: N815
    stopSequences: Annotated[list[str], Meta(max_length=5)] = []  # noqa: N815
    responseMimeType: str = "text/plain"  # noqa: N815
    responseSchema: dict[str, object] | None = None  # noqa: N815
    responseJsonSchema: dict[str, object] | None = None  # noqa: N815
    thinkingConfig: _Thinking = msgspec.field(default_factory=_Thinking)  # noqa: N815


class GenerateContent(Struct, forbid_unknown_fields=True):
    """A request for a reply."""

    contents: Annotated[list[_Content], Meta(min_length=1)]
    systemInstruction: _Content | None = None  # noqa: N815
    tools: list[_Tool] = []
    toolConfig: _ToolConfig = msgspec.field(default_factory=_ToolConfig)  # noqa: N815
    generationConfig: _Config = msgspec.field(default_factory=_Config)  # noqa: N815
    safetySettings: list[dict[str, object]] | None = None  # noqa: N815
    cachedContent: str | None = None  # noqa: N815
    labels: dict[str, str] = {}
    serviceTier: str | None = None  # noqa: N815
    store: bool | None = None
    model: str | None = None


class CountTokens(Struct):
    """A request to count the tokens of a prompt."""

    generateContentRequest: GenerateContent | None = None  # noqa: N815
    contents: list[_Content] = []


_GENERATE = msgspec.json.Decoder(GenerateContent)
_COUNT = msgspec.json.Decoder(CountTokens)


def read_generate(body: bytes, model: str) -> GenerateContent:
    """Read a request for a reply. :raises Refusal: Google would refuse it"""
    asked = _decoded(_GENERATE, body)
    _check_signatures(asked, model)
    return asked


def read_count(body: bytes) -> GenerateContent:
    """Read a request to count the tokens of a prompt. :raises Refusal: Google would refuse it"""
    asked = _decoded(_COUNT, body)
    return asked.generateContentRequest or GenerateContent(contents=asked.contents)


def _decoded(decoder: "msgspec.json.Decoder[Asked]", body: bytes) -> Asked:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        if "unknown field" in text:
            text = f"Invalid JSON payload received. Unknown name {text.split('`')[1]!r}: Cannot find field."
        raise Refusal(400, text) from error
    except msgspec.DecodeError as error:
        raise Refusal(400, f"Invalid JSON payload received. {error}") from error


def ask_of(asked: GenerateContent) -> Ask:
    """What is asked of the pretended model. :raises Refusal: a tool must be called, and there is none"""
    config, calling = asked.generationConfig, asked.toolConfig.functionCallingConfig
    tools = {one.name: one for tool in asked.tools for one in tool.functionDeclarations}
    tool: str | None = None
    if calling.mode == "ANY":
        tool = next(iter(calling.allowedFunctionNames), None) or next(iter(tools), None)
        if tool is None or tool not in tools:
            raise Refusal(400, "Function calling mode is ANY but no function declarations are provided.")
    schema: Mapping[str, object] | None = None
    if config.responseMimeType == "application/json":
        schema = config.responseJsonSchema or _lower(config.responseSchema or {"type": "object"})
    return Ask(
        prompt=msgspec.json.encode([asked.systemInstruction, asked.contents]).decode(),
        max_tokens=config.maxOutputTokens,
        stop_sequences=config.stopSequences,
        thinking=config.thinkingConfig.includeThoughts,
        tool=tool,
        tool_schema={} if tool is None else _parameters(tools[tool]),
        schema=schema,
    )


def _parameters(tool: _Declaration) -> Mapping[str, object]:
    return tool.parametersJsonSchema or _lower(tool.parameters or {"type": "object"})


def _lower(schema: Mapping[str, object]) -> Mapping[str, object]:
    """A schema in Google's form as JSON Schema."""
    text = msgspec.json.encode(schema).decode()
    lowered = re.sub(r'"type":"([A-Z]+)"', lambda match: f'"type":"{match.group(1).lower()}"', text)
    return msgspec.json.decode(lowered, type=dict[str, object])


def _check_signatures(asked: GenerateContent, name: str) -> None:
    if not _SIGNS.match(name):
        return
    for content in asked.contents:
        calls = [part for part in content.parts if "functionCall" in part]
        if calls and "thoughtSignature" not in calls[0]:
            raise Refusal(400, "Function call is missing a thought_signature in functionCall parts.")


def prompt_tokens_of(asked: GenerateContent) -> int:
    """Count the tokens of a prompt."""
    system = [] if asked.systemInstruction is None else [asked.systemInstruction.parts]
    return prompt_tokens([*system, *(content.parts for content in asked.contents)], asked.tools)
