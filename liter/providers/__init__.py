"""Providers: codecs between liter's requests and replies and each provider's wire."""

from ._anthropic import Anthropic as Anthropic
from ._bedrock import Bedrock as Bedrock
from ._codec import Provider as Provider
from ._codec import StreamDecoder as StreamDecoder
from ._cohere import Cohere as Cohere
from ._gemini import Gemini as Gemini
from ._mistral import Mistral as Mistral
from ._openai import OpenAI as OpenAI
from ._registry import known_providers as known_providers
from ._vertex import Vertex as Vertex
