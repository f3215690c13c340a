"""The providers that liter knows by name."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from msgspec.structs import replace

from ._anthropic import Anthropic
from ._bedrock import Bedrock
from ._codec import Provider
from ._cohere import Cohere
from ._gemini import Gemini
from ._mistral import Mistral
from ._openai import OpenAI

# What imitators offer, as far as is known here.
_OFFERED = frozenset({"chat", "list_models"})

_MAX_TOKENS = {"max_completion_tokens": "max_tokens"}

# Imitators of OpenAI's wire, with the base URLs of their documentation.
_OPENAI_LIKE = (
    OpenAI(),
    OpenAI(
        name="cerebras",
        base_url="https://api.cerebras.ai/v1",
        key_variables=("CEREBRAS_API_KEY",),
        reasoning_field="reasoning",
    ),
    OpenAI(
        name="deepinfra",
        base_url="https://api.deepinfra.com/v1/openai",
        key_variables=("DEEPINFRA_API_KEY",),
        renames=_MAX_TOKENS,
    ),
    OpenAI(
        name="deepseek",
        base_url="https://api.deepseek.com",
        key_variables=("DEEPSEEK_API_KEY",),
        renames=_MAX_TOKENS,
        reasoning_field="reasoning_content",
    ),
    OpenAI(
        name="fireworks",
        base_url="https://api.fireworks.ai/inference/v1",
        key_variables=("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
        renames=_MAX_TOKENS,
        reasoning_field="reasoning_content",
    ),
    OpenAI(name="groq", base_url="https://api.groq.com/openai/v1", key_variables=("GROQ_API_KEY",)),
    OpenAI(name="llamacpp", base_url="http://localhost:8080/v1", key_variables=()),
    OpenAI(name="lmstudio", base_url="http://localhost:1234/v1", key_variables=()),
    OpenAI(
        name="moonshot",
        base_url="https://api.moonshot.ai/v1",
        key_variables=("MOONSHOT_API_KEY",),
        renames=_MAX_TOKENS,
        reasoning_field="reasoning_content",
    ),
    OpenAI(name="ollama", base_url="http://localhost:11434/v1", key_variables=()),
    OpenAI(
        name="openrouter",
        base_url="https://openrouter.ai/api/v1",
        key_variables=("OPENROUTER_API_KEY",),
        reasoning_field="reasoning",
    ),
    OpenAI(
        name="perplexity",
        base_url="https://api.perplexity.ai",
        key_variables=("PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"),
    ),
    OpenAI(
        name="together",
        base_url="https://api.together.ai/v1",
        key_variables=("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY"),
        renames=_MAX_TOKENS,
    ),
    OpenAI(name="vllm", base_url="http://localhost:8000/v1", key_variables=(), reasoning_field="reasoning"),
    OpenAI(name="xai", base_url="https://api.x.ai/v1", key_variables=("XAI_API_KEY",)),
    OpenAI(
        name="zai",
        base_url="https://api.z.ai/api/paas/v4",
        key_variables=("ZAI_API_KEY", "ZHIPU_API_KEY"),
        renames=_MAX_TOKENS,
        reasoning_field="reasoning_content",
    ),
)


@cache
def known_providers() -> Mapping[str, Provider]:
    """All providers, by the name that routes to them."""
    others = (replace(one, offers=_OFFERED) for one in _OPENAI_LIKE if one.name != "openai")
    providers: tuple[Provider, ...] = (OpenAI(), *others, Anthropic(), Bedrock(), Cohere(), Gemini(), Mistral())
    return MappingProxyType({provider.name: provider for provider in providers})
