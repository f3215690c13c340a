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


class _Calling(Struct, rename="camel"):
    mode: str = "AUTO"
    allowed_function_names: list[str] = []


class _ToolConfig(Struct, rename="camel"):
    function_calling_config: _Calling = msgspec.field(default_factory=_Calling)


class _Declaration(Struct, forbid_unknown_fields=True, rename="camel"):
    name: str
    description: str = ""
    parameters: dict[str, object] | None = None
    parameters_json_schema: dict[str, object] | None = None
    response: dict[str, object] | None = None
    response_json_schema: dict[str, object] | None = None


class _Tool(Struct, rename="camel"):
    function_declarations: list[_Declaration] = []


class _Thinking(Struct, forbid_unknown_fields=True, rename="camel"):
    include_thoughts: bool = False
    thinking_budget: int | None = None
    thinking_level: str | None = None


class _Config(Struct, rename="camel"):
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    candidate_count: Annotated[int, Meta(ge=1, le=8)] = 1
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=5)] = []
    response_mime_type: str = "text/plain"
    response_schema: dict[str, object] | None = None
    response_json_schema: dict[str, object] | None = None
    thinking_config: _Thinking = msgspec.field(default_factory=_Thinking)


class GenerateContent(Struct, forbid_unknown_fields=True, rename="camel"):
    """A request for a reply."""

    contents: Annotated[list[_Content], Meta(min_length=1)]
    system_instruction: _Content | None = None
    tools: list[_Tool] = []
    tool_config: _ToolConfig = msgspec.field(default_factory=_ToolConfig)
    generation_config: _Config = msgspec.field(default_factory=_Config)
    safety_settings: list[dict[str, object]] | None = None
    cached_content: str | None = None
    labels: dict[str, str] = {}
    service_tier: str | None = None
    store: bool | None = None
    model: str | None = None


class CountTokens(Struct, rename="camel"):
    """A request to count the tokens of a prompt."""

    generate_content_request: GenerateContent | None = None
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
    return asked.generate_content_request or GenerateContent(contents=asked.contents)


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
    config, calling = asked.generation_config, asked.tool_config.function_calling_config
    tools = {one.name: one for tool in asked.tools for one in tool.function_declarations}
    tool: str | None = None
    if calling.mode == "ANY":
        tool = next(iter(calling.allowed_function_names), None) or next(iter(tools), None)
        if tool is None or tool not in tools:
            raise Refusal(400, "Function calling mode is ANY but no function declarations are provided.")
    schema: Mapping[str, object] | None = None
    if config.response_mime_type == "application/json":
        schema = config.response_json_schema or _lower(config.response_schema or {"type": "object"})
    return Ask(
        prompt=msgspec.json.encode([asked.system_instruction, asked.contents]).decode(),
        max_tokens=config.max_output_tokens,
        stop_sequences=config.stop_sequences,
        thinking=config.thinking_config.include_thoughts,
        tool=tool,
        tool_schema={} if tool is None else _parameters(tools[tool]),
        schema=schema,
    )


def _parameters(tool: _Declaration) -> Mapping[str, object]:
    return tool.parameters_json_schema or _lower(tool.parameters or {"type": "object"})


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
    system = [] if asked.system_instruction is None else [asked.system_instruction.parts]
    return prompt_tokens([*system, *(content.parts for content in asked.contents)], asked.tools)
