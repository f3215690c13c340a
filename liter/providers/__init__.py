"""Providers: codecs between liter's requests and replies and each provider's wire."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from ._anthropic import Anthropic as Anthropic
    from ._auth import Auth as Auth
    from ._azure import Azure as Azure
    from ._azure import AzureAI as AzureAI
    from ._batch import BatchForm as BatchForm
    from ._batch import BatchItem as BatchItem
    from ._batch import BatchLine as BatchLine
    from ._bedrock import Bedrock as Bedrock
    from ._catalog import Catalog as Catalog
    from ._codec import Provider as Provider
    from ._codec import StreamDecoder as StreamDecoder
    from ._cohere import Cohere as Cohere
    from ._custom import CustomProviderConfig as CustomProviderConfig
    from ._custom import register_custom_provider as register_custom_provider
    from ._custom import unregister_custom_provider as unregister_custom_provider
    from ._gemini import Gemini as Gemini
    from ._inline import Content as Content
    from ._inline import inlined as inlined
    from ._inline import remote_urls as remote_urls
    from ._mistral import Mistral as Mistral
    from ._ollama import Ollama as Ollama
    from ._openai import OpenAI as OpenAI
    from ._parameters import Mapped as Mapped
    from ._parameters import Renamed as Renamed
    from ._parameters import Rule as Rule
    from ._parameters import Sent as Sent
    from ._parameters import Unsupported as Unsupported
    from ._registry import Unspoken as Unspoken
    from ._registry import known_providers as known_providers
    from ._vertex import Vertex as Vertex
    from ._wire import FollowUp as FollowUp
    from ._wire import OperationWire as OperationWire
    from ._wire import WireProvider as WireProvider
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._anthropic": "Anthropic",
            "._auth": "Auth",
            "._azure": "Azure AzureAI",
            "._batch": "BatchForm BatchItem BatchLine",
            "._bedrock": "Bedrock",
            "._catalog": "Catalog",
            "._codec": "Provider StreamDecoder",
            "._cohere": "Cohere",
            "._custom": "CustomProviderConfig register_custom_provider unregister_custom_provider",
            "._gemini": "Gemini",
            "._inline": "Content inlined remote_urls",
            "._mistral": "Mistral",
            "._ollama": "Ollama",
            "._openai": "OpenAI",
            "._parameters": "Mapped Renamed Rule Sent Unsupported",
            "._registry": "Unspoken known_providers",
            "._vertex": "Vertex",
            "._wire": "FollowUp OperationWire WireProvider",
        },
    )
