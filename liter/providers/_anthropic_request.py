"""Chat requests of OpenAI's form as Anthropic's, parameter by parameter."""

from collections.abc import Mapping
from typing import cast

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._errors import BadRequestError
from ..types import (
    AllowedToolsChoice,
    ChatCompletionRequest,
    CountTokensRequest,
    CustomTool,
    CustomToolChoice,
    FunctionTool,
    FunctionToolChoice,
    Tool,
    WebSearchOptions,
)
from ._anthropic_messages import Block, split_system, turns
from ._anthropic_models import BUDGETS, DEFAULT_MAX_TOKENS, EFFORTS, LEAST_BUDGET, facts_of
from ._parameters import Mapped, Renamed, Rule, Sent, Unsupported, refuse, supported
from ._typed_parameters import schema_of, typed, typed_choice

_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])

PARAMETERS: Mapping[str, Rule] = {
    "model": Sent(),
    "messages": Mapped("`system`, and turns of user and assistant with blocks of content"),
    "max_completion_tokens": Renamed("max_tokens"),
    "max_tokens": Mapped("as it is; 16384, or the model's limit, unless given, and what is to be thought on top"),
    "temperature": Sent(),
    "top_p": Sent(),
    "n": Unsupported("ask as often", neutral=(1,)),
    "stop": Mapped("`stop_sequences`, a list"),
    "seed": Unsupported(),
    "presence_penalty": Unsupported(neutral=(0, 0.0)),
    "frequency_penalty": Unsupported(neutral=(0, 0.0)),
    "logit_bias": Unsupported(neutral=({},)),
    "logprobs": Unsupported(neutral=(False,)),
    "top_logprobs": Unsupported(neutral=(0,)),
    "tools": Mapped("`tools` with `input_schema`; Anthropic's own as they are: `{'type': 'web_search_20250305', ...}`"),
    "tool_choice": Mapped("`auto`, `none`, `any` for `required`, `tool` for one; some allowed: only these are sent"),
    "parallel_tool_calls": Mapped("`False`: `tool_choice.disable_parallel_tool_use`"),
    "response_format": Mapped("`output_config.format`, for JSON of a schema"),
    "reasoning_effort": Mapped("`thinking`: adaptive with `output_config.effort`, or a budget, by the model"),
    "verbosity": Unsupported("say it in the prompt"),
    "modalities": Unsupported("replies are text", neutral=(["text"], ("text",))),
    "audio": Unsupported("replies are text"),
    "prediction": Unsupported(),
    "web_search_options": Mapped("the tool `web_search`, with `user_location`"),
    "service_tier": Mapped("`auto`, or `standard_only` for `default`"),
    "store": Unsupported(neutral=(False,)),
    "metadata": Unsupported(neutral=({},)),
    "prompt_cache_key": Unsupported("set cache_control on a message, part or tool"),
    "prompt_cache_retention": Unsupported("set cache_control on a message, part or tool, with its ttl"),
    "prompt_cache_options": Unsupported("set cache_control on a message, part or tool"),
    "safety_identifier": Mapped("`metadata.user_id`"),
    "user": Mapped("`metadata.user_id`"),
    "moderation": Unsupported(),
    "stream_options": Mapped("nothing: usage always comes"),
    "functions": Unsupported("give them as tools", neutral=([], ())),
    "function_call": Unsupported("give it as tool_choice"),
    "extra_body": Mapped("its fields are merged into the body, last"),
}

_SERVICE_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_WEB_SEARCH = "web_search_20250305"
_NO_PARAMETERS: Mapping[str, object] = {"type": "object", "properties": {}}


def encode_chat(request: ChatCompletionRequest, call: Call[object], *, provider: str) -> bytes:
    """Make the body of ``POST /messages``.

    ``max_tokens``, which Anthropic must be told, is 16384 unless given (less where the model's limit is
    lower), and what is to be thought comes on top of that.

    :raises BadRequestError: a parameter or message asks for what Anthropic cannot be told
    """
    request = supported(PARAMETERS, request, call)
    model = call.route.model
    system, messages = split_system(request.conversation, provider=provider)
    first = len(request.messages) - len(messages)
    said = turns(messages, provider=provider, first=first, system_turns=facts_of(model).system_turns)
    body: dict[str, object] = {"model": model, "messages": said}
    if not body["messages"]:
        raise BadRequestError("messages: Anthropic needs a message of the user's beside the system prompt")
    if system:
        body["system"] = system
    if call.stream:
        body["stream"] = True
    body.update(_thinking(request, model))
    body.update(_sampling(request))
    body.update(_tools(request, call))
    body.update(_labels(request, call))
    config = cast("dict[str, object]", body.get("output_config", {}))
    wanted = schema_of(request.response_format, call, "Anthropic")
    if wanted is not None:
        config["format"] = {"type": "json_schema", "schema": wanted.schema}
    extra = dict(request.extra_body or {})
    if isinstance(extra.get("output_config"), Mapping):
        # Beside a format, or an effort, there may be a budget of the caller's.
        config |= cast("Mapping[str, object]", extra.pop("output_config"))
    if config:
        body["output_config"] = config
    return _ENCODER.encode({**body, **extra})


def encode_count(request: CountTokensRequest, call: Call[object], *, provider: str) -> bytes:
    """Make the body of ``POST /messages/count_tokens``: that of a chat, without what is for its reply.

    :raises BadRequestError: a message or tool asks for what Anthropic cannot be told
    """
    chat = ChatCompletionRequest(
        model=request.model, messages=request.conversation, tools=request.tools, extra_body=request.extra_body
    )
    fields = _FIELDS.decode(encode_chat(chat, replace(call, request=chat, stream=False), provider=provider))
    del fields["max_tokens"]
    return _ENCODER.encode(fields)


def _refused(what: str) -> BadRequestError:
    return BadRequestError(
        f"{what} cannot be said to Anthropic: leave it out, route to a provider that takes it,"
        f" or give Anthropic's own field in extra_body"
    )


def _sampling(request: ChatCompletionRequest) -> dict[str, object]:
    said: dict[str, object] = {}
    if request.temperature is not None:
        said["temperature"] = request.temperature
    if request.top_p is not None:
        said["top_p"] = request.top_p
    if request.stop is not None:
        said["stop_sequences"] = [request.stop] if isinstance(request.stop, str) else list(request.stop)
    return said


def _labels(request: ChatCompletionRequest, call: Call[object]) -> dict[str, object]:
    said: dict[str, object] = {}
    user = request.safety_identifier or request.user
    if user is not None:
        said["metadata"] = {"user_id": user}
    if request.service_tier is not None:
        tier = _SERVICE_TIERS.get(request.service_tier)
        if tier is None:
            refuse(call, f"service_tier={request.service_tier!r}", "'auto' or 'default' would be taken")
        else:
            said["service_tier"] = tier
    return said


def _thinking(request: ChatCompletionRequest, model: str) -> dict[str, object]:
    """``max_tokens``, and how much of them is for thinking."""
    facts = facts_of(model)
    given = request.max_completion_tokens or request.max_tokens
    limit = given or min(DEFAULT_MAX_TOKENS, facts.max_output)
    effort = request.reasoning_effort
    if effort is None:
        return {"max_tokens": limit}
    if effort == "none":
        disabled: dict[str, object] = {"max_tokens": limit, "thinking": {"type": "disabled"}}
        return disabled if facts.thinking == "adaptive" else {"max_tokens": limit}
    if facts.thinking == "none":
        raise BadRequestError(
            f"reasoning_effort={effort!r}: {model} does not think: leave it out or take another model"
        )
    if facts.thinking == "adaptive":
        return {
            "max_tokens": limit,
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": EFFORTS.get(effort, effort)},
        }
    if effort not in BUDGETS:
        raise BadRequestError(f"reasoning_effort must be none, {', '.join(BUDGETS)} for {model}, not {effort!r}")
    budget = BUDGETS[effort]
    if given is None:
        limit = min(limit + budget, facts.max_output)
    if limit <= LEAST_BUDGET:
        raise BadRequestError(
            f"reasoning_effort={effort!r}: {model} thinks with {LEAST_BUDGET} tokens or more,"
            f" and max_tokens={limit} must be above that"
        )
    return {"max_tokens": limit, "thinking": {"type": "enabled", "budget_tokens": min(budget, limit - 1)}}


def _tools(request: ChatCompletionRequest, call: Call[object]) -> dict[str, object]:
    tools = list(request.tools or ())
    choice = typed_choice(request.tool_choice)
    if isinstance(choice, AllowedToolsChoice):
        names = {_name(one) for one in choice.allowed_tools.tools}
        tools = [tool for tool in tools if not isinstance(tool, FunctionTool) or tool.function.name in names]
        choice = choice.allowed_tools.mode
    sent = [_tool(tool, index) for index, tool in enumerate(tools)]
    if request.web_search_options is not None:
        sent.append(_web_search(request.web_search_options, call))
    said: dict[str, object] = {"tools": sent} if sent else {}
    chosen = _choice(choice)
    if request.parallel_tool_calls is False and sent and chosen.get("type") != "none":
        chosen = {"type": "auto", **chosen, "disable_parallel_tool_use": True}
    if chosen:
        said["tool_choice"] = chosen
    return said


def _choice(choice: object) -> dict[str, object]:
    if choice is None:
        return {}
    if isinstance(choice, FunctionToolChoice):
        return {"type": "tool", "name": choice.function.name}
    if isinstance(choice, Mapping):
        return dict(cast("Mapping[str, object]", choice))
    if isinstance(choice, str) and choice in _CHOICES:
        return {"type": _CHOICES[choice]}
    raise _refused(f"tool_choice={choice!r}")


def _name(choice: FunctionToolChoice | CustomToolChoice) -> str:
    if isinstance(choice, CustomToolChoice):
        raise _refused("a custom tool")
    return choice.function.name


def _tool(tool: Tool | Mapping[str, object], index: int) -> Block:
    if isinstance(tool, CustomTool):
        raise _refused(f"tools[{index}] of type 'custom'")
    if not isinstance(tool, FunctionTool):
        # A tool of Anthropic's own, such as {"type": "web_search_20250305", "name": "web_search"}.
        return dict(tool)
    function = tool.function
    sent: Block = {"name": function.name, "input_schema": {**_NO_PARAMETERS, **(function.parameters or {})}}
    for name, value in (
        ("description", function.description),
        ("strict", function.strict),
        ("cache_control", tool.cache_control),
    ):
        if value is not None:
            sent[name] = value
    return sent


def _web_search(options: WebSearchOptions | Mapping[str, object], call: Call[object]) -> Block:
    options = cast("WebSearchOptions", typed(options, "web_search_options", WebSearchOptions))
    if options.search_context_size is not None:
        refuse(call, f"web_search_options.search_context_size={options.search_context_size!r}", "leave it out")
    tool: Block = {"type": _WEB_SEARCH, "name": "web_search"}
    location = options.user_location
    if location is not None:
        inner = cast("Mapping[str, object]", location.get("approximate") or {})
        outer = {name: value for name, value in location.items() if name != "approximate"}
        tool["user_location"] = {"type": "approximate", **outer, **inner}
    return tool
