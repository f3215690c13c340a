"""The price of a reply or a usage, without a client."""

from collections.abc import Mapping
from datetime import UTC, datetime

from ..types import ChatCompletionResponse, Usage
from ._book import PriceBook, provider_name
from ._cost import Cost


def completion_cost(
    response: ChatCompletionResponse | None = None,
    *,
    model: str | None = None,
    usage: Usage | None = None,
    prices: PriceBook | None = None,
    when: datetime | None = None,
    terms: Mapping[str, str] | None = None,
) -> Cost | None:
    """Price one reply, or a usage on its own, as of a ledger of the past.

    A reply's own ``cost`` is the bill of its call, with all that was tried before it; this is the price of that reply.

    :param response: the reply; its usage, model, provider and time are taken from it where they are not given
    :param model: ``"provider/model"``; needed where the reply does not say whose model it is
    :param prices: by default ``PriceBook.default()``
    :param when: when the request was made; by default the time of the reply, or now
    :param terms: on which terms, beside those that the usage tells: ``{"processing": "batch"}``
    :return: ``None`` where there is no price, or no usage
    :raises ValueError: neither a reply nor a usage, or the provider is not known; or the usage contradicts itself
    """
    if response is None and usage is None:
        raise ValueError("completion_cost needs a response or usage=")
    if response is not None:
        usage = usage or response.usage
        if when is None and response.created:
            when = datetime.fromtimestamp(response.created, UTC)
    provider, name = _whose(response, model)
    return (
        None if usage is None else (prices or PriceBook.default()).price(provider, name, usage, when=when, terms=terms)
    )


def _whose(response: ChatCompletionResponse | None, model: str | None) -> tuple[str, str]:
    if model is not None:
        provider, slash, name = model.partition("/")
        if not (provider and slash and name):
            raise ValueError(f'model must be "provider/model", as "openai/gpt-4o", not {model!r}')
        return provider_name(provider), name
    if response is None or not response.attempts:
        raise ValueError("the provider is not known: give model=, as model='openai/gpt-4o'")
    last = response.attempts[-1]
    return last.provider, response.model or last.model
