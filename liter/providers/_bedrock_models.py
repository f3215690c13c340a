"""Names of Bedrock's models: whose a model is, where its requests go, and how it is told how long to think.

A model is named by an id (``anthropic.claude-sonnet-4-5-20250929-v1:0``), by an inference profile (``us.`` or another
region before it), or by an ARN, which ends with one of these or with a name of the account's own.
"""

import re
from urllib.parse import quote

import msgspec

from .._errors import BadRequestError
from ._anthropic_models import BUDGETS, EFFORTS, LEAST_BUDGET, ModelFacts, facts_of

# What an inference profile's name begins with: a part of the world, or a country.
_REGION = re.compile(r"^(?:global|apac|us-gov|[a-z]{2})\.")

# Converse knows Anthropic's first models by names of its own.
_NEVER_THINKS = ModelFacts(max_output=4_096, thinking="none")


class ModelName(msgspec.Struct, frozen=True):
    """A model's name taken apart; both are empty for a profile of the account's own, which does not tell."""

    vendor: str
    name: str


def name_of(model: str) -> ModelName:
    """Take a model's id, profile or ARN apart."""
    if model.startswith("arn:"):
        resource = model.rsplit(":", 1)[-1] if "/" not in model else model.split(":", 5)[-1]
        kind, _, model = resource.partition("/")
        if kind not in ("foundation-model", "inference-profile"):
            return ModelName("", "")
    vendor, dot, name = _REGION.sub("", model, count=1).partition(".")
    return ModelName(vendor, name) if dot else ModelName("", vendor)


def model_path(model: str, action: str) -> str:
    """The path of a model's action, such as ``converse``.

    :raises BadRequestError: no name that a path can hold
    """
    if model in ("", ".", ".."):
        raise BadRequestError(f"model must be the id of a model, of an inference profile, or an ARN, not {model!r}")
    return f"/model/{quote(model, safe='')}/{action}"


def takes_system_turns(model: str) -> bool:
    """Whether a model takes instructions between turns: Anthropic's newest do."""
    name = name_of(model)
    return name.vendor == "anthropic" and _facts_of(name.name).system_turns


def thinking_fields(model: str, effort: str, max_tokens: int | None) -> dict[str, object] | None:
    """The model's own fields for an effort of thinking; ``None``: it has none for this effort.

    :param max_tokens: the limit of the reply, which Anthropic's budgets must stay below
    :raises BadRequestError: that limit leaves no room to think
    """
    name = name_of(model)
    if name.vendor == "anthropic":
        return _anthropic(name.name, effort, max_tokens)
    if name.vendor == "amazon" and name.name.startswith("nova-2"):
        if effort == "none":
            return {"reasoningConfig": {"type": "disabled"}}
        level = _THREE_LEVELS.get(effort)
        return None if level is None else {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
    if name.vendor == "openai":
        level = _THREE_LEVELS.get(effort)
        return None if level is None else {"reasoning_effort": level}
    if name.vendor == "qwen":
        level = _TWO_LEVELS.get(effort)
        return None if level is None else {"reasoning_config": level}
    return None


_THREE_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_TWO_LEVELS = {"minimal": "low", "low": "low", "medium": "high", "high": "high", "xhigh": "high", "max": "high"}


def _facts_of(name: str) -> ModelFacts:
    return _NEVER_THINKS if name.startswith(("claude-v", "claude-instant")) else facts_of(name)


def _anthropic(name: str, effort: str, max_tokens: int | None) -> dict[str, object] | None:
    facts = _facts_of(name)
    if effort == "none":
        return {"thinking": {"type": "disabled"}} if facts.thinking == "adaptive" else {}
    if facts.thinking == "none":
        return None
    if facts.thinking == "adaptive":
        return {"thinking": {"type": "adaptive"}, "output_config": {"effort": EFFORTS.get(effort, effort)}}
    budget = BUDGETS.get(effort)
    if budget is None:
        return None
    # Without a limit the model's own holds, which is above every budget.
    limit = facts.max_output if max_tokens is None else max_tokens
    if limit <= LEAST_BUDGET:
        raise BadRequestError(
            f"reasoning_effort={effort!r}: the model thinks with {LEAST_BUDGET} tokens or more,"
            f" and max_tokens={limit} must be above that"
        )
    return {"thinking": {"type": "enabled", "budget_tokens": min(budget, limit - 1)}}
