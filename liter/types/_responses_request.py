"""Requests of OpenAI's Responses API."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from ._checks import check_count, check_items, check_model, check_range, check_text


class CreateResponseRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a response. ``None`` is not sent.

    Items of an earlier response's ``output`` are mappings, and go back into ``input`` as they are.

    :param model: ``"provider/model"``, or a name that the client routes; a kept ``prompt`` may have one of its own
    :param input: a text; or items: messages, outputs of functions, items of earlier responses
    :param instructions: what a system message would say
    :param previous_response_id: a response that is kept by the provider, to go on from
    :param conversation: a conversation that is kept by the provider: its id, or ``{"id": ...}``
    :param max_output_tokens: limit of the response's tokens, reasoning included
    :param max_tool_calls: how many calls of the provider's own tools at most
    :param temperature: randomness, 0 to 2
    :param top_p: sample from the tokens that make up this share of the probability, 0 to 1
    :param top_logprobs: how many likely others to tell with each token, 0 to 20
    :param tools: functions, flat: ``{"type": "function", "name": ..., "parameters": ...}``; and the provider's own
    :param tool_choice: ``"auto"``, ``"none"``, ``"required"``, or which one: ``{"type": "function", "name": ...}``
    :param text: ``{"format": {"type": "json_schema", "name": ..., "schema": ...}, "verbosity": ...}``
    :param reasoning: ``{"effort": ..., "summary": ...}``
    :param include: what else to tell: ``["reasoning.encrypted_content"]``
    :param store: whether the provider keeps the response
    :param background: whether it goes on without the caller; see ``retrieve_response``
    :param truncation: ``"auto"`` drops what does not fit the context window, ``"disabled"`` fails
    :param prompt: a prompt kept by the provider: ``{"id": ..., "version": ..., "variables": {...}}``
    :param extra_body: more fields of the provider's body; merged last, so they win
    :raises ValueError: what cannot be right, with what would be
    """

    model: str | None = None
    input: str | Sequence[Mapping[str, object]] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | Mapping[str, object] | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    tools: Sequence[Mapping[str, object]] | None = None
    tool_choice: Literal["auto", "none", "required"] | str | Mapping[str, object] | None = None
    parallel_tool_calls: bool | None = None
    text: Mapping[str, object] | None = None
    reasoning: Mapping[str, object] | None = None
    include: Sequence[str] | None = None
    store: bool | None = None
    background: bool | None = None
    truncation: Literal["auto", "disabled"] | str | None = None
    context_management: Sequence[Mapping[str, object]] | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | str | None = None
    prompt: Mapping[str, object] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: Mapping[str, object] | None = None
    safety_identifier: str | None = None
    metadata: Mapping[str, str] | None = None
    moderation: Mapping[str, object] | None = None
    user: str | None = None
    stream_options: Mapping[str, object] | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        if self.prompt is None or self.model is not None:
            check_model(self.model, "openai/gpt-5")
        if self.input is None:
            if self.prompt is None and self.previous_response_id is None and self.conversation is None:
                raise ValueError("input is missing: give a text, or items such as {'role': 'user', 'content': 'Hi'}")
        elif not isinstance(self.input, str):
            check_items(self.input, "input")
            for index, item in enumerate(self.input):
                if not isinstance(item, Mapping):
                    raise ValueError(f"input[{index}] must be an item, as a mapping, not {type(item).__name__}")
        check_count(self.max_output_tokens, "max_output_tokens")
        check_count(self.max_tool_calls, "max_tool_calls")
        check_count(self.top_logprobs, "top_logprobs", low=0, high=20)
        check_range(self.temperature, "temperature", 0, 2)
        check_range(self.top_p, "top_p", 0, 1)
        if self.previous_response_id is not None and self.conversation is not None:
            raise ValueError("give previous_response_id or conversation, not both")


class RetrieveResponseRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a response that the provider keeps.

    :param response_id: its id, as ``create_response`` told it
    :param include: what else to tell
    :param starting_after: on a stream, the ``sequence_number`` of the last event that is known already
    :param provider: who keeps it; by default the client's own
    """

    response_id: str
    include: Sequence[str] | None = None
    starting_after: int | None = None
    provider: str | None = None

    def __post_init__(self) -> None:
        check_text(self.response_id, "response_id")
        check_count(self.starting_after, "starting_after", low=0)


class CancelResponseRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a response in the background to be given up."""

    response_id: str
    provider: str | None = None

    def __post_init__(self) -> None:
        check_text(self.response_id, "response_id")


class DeleteResponseRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a response to be forgotten."""

    response_id: str
    provider: str | None = None

    def __post_init__(self) -> None:
        check_text(self.response_id, "response_id")


class ListInputItemsRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for what a response was made of, a page at a time.

    :param limit: how many items at most, 1 to 100
    :param order: ``"asc"``, or ``"desc"``, which is the default
    :param after: id of the item that this page follows
    """

    response_id: str
    limit: int | None = None
    order: Literal["asc", "desc"] | None = None
    after: str | None = None
    include: Sequence[str] | None = None
    provider: str | None = None

    def __post_init__(self) -> None:
        check_text(self.response_id, "response_id")
        check_count(self.limit, "limit", high=100)
