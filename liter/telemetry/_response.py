"""What came back, as attributes: ids, finish reasons, usage, cost."""

from collections.abc import Sequence
from typing import Final, cast

from .._errors import LlmError, LlmTimeoutError
from ..money import Cost
from ..types import ResponseObject, Usage
from . import _names as names
from ._request import Attributes

_MODALITIES: Final = ("text", "image", "audio")


class Facts:
    """What a reply has told so far, from a whole value or from the events of a stream."""

    __slots__ = ("fingerprint", "id", "model", "native", "reasons", "status", "tier")

    def __init__(self) -> None:
        self.id = ""
        self.model = ""
        self.tier = ""
        self.fingerprint = ""
        self.status = ""
        self.reasons: dict[int, str | None] = {}
        self.native: dict[int, str] = {}

    def add(self, part: object) -> None:
        """Take in a value, or an event. Any type will do: what it does not have, it does not tell."""
        # Some events of the Responses API carry the response that they are about.
        part = getattr(part, "response", None) or part
        self.id = self.id or _text(part, "id")
        self.model = self.model or _text(part, "model")
        self.tier = _text(part, "service_tier") or self.tier
        self.fingerprint = self.fingerprint or _text(part, "system_fingerprint")
        choices = getattr(part, "choices", None)
        if isinstance(choices, list):
            for choice in cast("list[object]", choices):
                self._add_choice(choice)
        elif isinstance(part, ResponseObject):
            self._add_response(part)

    def _add_choice(self, choice: object) -> None:
        index = getattr(choice, "index", 0)
        reason = _text(choice, "finish_reason")
        if reason or index not in self.reasons:
            self.reasons[index] = reason or None
        native = _text(choice, "native_finish_reason") or reason
        if native:
            self.native[index] = native

    def _add_response(self, response: ResponseObject) -> None:
        self.status = response.status or self.status
        native = (response.incomplete_details or {}).get("reason") or response.status
        if isinstance(native, str) and response.status in ("completed", "incomplete", "failed"):
            called = any(str(item.get("type", "")).endswith("function_call") for item in response.output)
            self.reasons[0] = (
                "tool_call" if called and native == "completed" else names.STATUS_REASON.get(native, native)
            )
            self.native[0] = native

    def attributes(self, operation: str, provider: str) -> Attributes:
        """Tell ids and models. Operation and provider as the conventions name them."""
        attributes: Attributes = {}
        if self.id:
            attributes[names.RESPONSE_ID] = self.id
        if self.model:
            attributes[names.RESPONSE_MODEL] = self.model
        if self.status and operation == "fetch_response":
            attributes[names.RESPONSE_STATUS] = self.status
        if provider in ("openai", "azure.ai.openai"):
            if self.tier:
                attributes[names.OPENAI_RESPONSE_SERVICE_TIER] = self.tier
            if self.fingerprint:
                attributes[names.OPENAI_SYSTEM_FINGERPRINT] = self.fingerprint
        return attributes

    def finish_reasons(self, expected: int, *, complete: bool) -> Attributes:
        """Tell why each choice ended, in the conventions' words, and in the provider's where they differ.

        :param expected: how many choices were asked for
        :param complete: whether all has come; else each of these that has no reason has failed
        """
        if complete and not any(self.reasons.values()):
            return {}
        count = max(len(self.reasons), max(self.reasons, default=-1) + 1, 0 if complete else expected)
        told = [self.reasons.get(index) for index in range(count)]
        reasons = [names.FINISH_REASON.get(reason, reason.lower()) if reason else names.NO_REASON for reason in told]
        attributes: Attributes = {names.FINISH_REASONS: reasons}
        native = [self.native.get(index, names.NO_REASON) for index in range(count)]
        if native != reasons:
            attributes[names.OWN_FINISH_REASONS] = native
        return attributes


def token_counts(usage: Usage, operation: str) -> tuple[int | None, int | None]:
    """Return the tokens in and out, each ``None`` where the provider did not report them.

    Nor does an operation that is no inference have those that it does not know: an embedding gives no tokens.
    """
    if operation in names.UNUSED:
        return None, None
    told = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    given, made = (
        None if name in usage.unreported or (not count and operation not in names.INFERENCE) else count
        for name, count in told.items()
    )
    return given, made


def usage_attributes(usage: Usage, operation: str, cache_write_key: names.CacheWriteKey) -> Attributes:
    """Tell the token counts. Parts are told where the provider reported them and they are not zero."""
    total, completion = token_counts(usage, operation)
    attributes: Attributes = {}
    given, made = usage.prompt_tokens_details, usage.completion_tokens_details
    if total is not None:
        attributes[names.INPUT_TOKENS] = total
        if given is not None and given.cached_tokens:
            attributes[names.CACHE_READ_TOKENS] = given.cached_tokens
        if given is not None and given.cache_write_tokens:
            attributes[names.CACHE_WRITE_TOKENS[cache_write_key]] = given.cache_write_tokens
        if _add_parts(attributes, names.INPUT_TOKENS_OF, modalities(given)):
            _add_parts(attributes, names.CACHE_READ_TOKENS_OF, modalities(given, "cached_{}_tokens"))
    if completion is not None:
        attributes[names.OUTPUT_TOKENS] = completion
        if made is not None and made.reasoning_tokens:
            attributes[names.REASONING_TOKENS] = made.reasoning_tokens
        _add_parts(attributes, names.OUTPUT_TOKENS_OF, modalities(made))
    return attributes


def _add_parts(attributes: Attributes, name: str, parts: dict[str, int]) -> bool:
    """Tell a count by modality, if it has another than text."""
    if not parts.keys() - {"text"}:
        return False
    attributes.update({name.format(modality): count for modality, count in parts.items()})
    return True


def modalities(details: object, field: str = "{}_tokens") -> dict[str, int]:
    """Return the parts of a token count by modality, as far as they were reported and are not zero."""
    counts = ((modality, getattr(details, field.format(modality), None)) for modality in _MODALITIES)
    return {modality: count for modality, count in counts if count}


def cost_attributes(cost: Cost, conventions: Sequence[str]) -> Attributes:
    """Tell what a call cost, in US dollars, under the names that the conventions' consumers read.

    Beside it, under names of our own: how it is made up, where it is from, and what it does not include.
    """
    amount = float(cost)
    attributes: Attributes = {names.COST_SOURCE: cost.source, names.COST_CURRENCY: "USD"}
    attributes.update({names.COST_OF.format(name): float(part) for name, part in cost.classes.items()})
    if cost.price_version is not None:
        attributes[names.COST_PRICE_VERSION] = cost.price_version
    if cost.estimated:
        attributes[names.COST_ESTIMATED] = True
    if cost.unpriced:
        attributes[names.COST_UNPRICED] = list(cost.unpriced)
    if "usage_cost" in conventions:
        attributes[names.USAGE_COST] = amount
    if "operation_cost" in conventions:
        attributes[names.OPERATION_COST] = amount
    if "openinference" in conventions:
        attributes[names.LLM_COST_TOTAL] = amount
    return attributes


def error_type(error: BaseException) -> str:
    """Return the ``error.type`` of an exception: ``timeout`` for a limit that passed, else its class's full name.

    Those of liter are ``liter.RateLimitedError`` and so on: there are as many as there are error classes.
    """
    return names.TIMEOUT_ERROR_TYPE if isinstance(error, LlmTimeoutError) else class_name(error)


def class_name(error: BaseException) -> str:
    """Return the full name of an exception's class: builtins bare, those of liter as they are imported."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    module = "liter" if kind.__module__.startswith("liter.") else kind.__module__
    return f"{module}.{kind.__qualname__}"


def error_description(error: BaseException) -> str | None:
    """Say what happened, in words that hold nothing of the request.

    An error's own message may: providers quote what they refuse, and hooks say why. So it is the class's meaning, and
    the message for limits of the client's own, which is ours.
    """
    if isinstance(error, LlmTimeoutError) and error.limit is not None and error.status is None:
        return error.message
    if isinstance(error, LlmError):
        kind = next(kind for kind in type(error).__mro__ if kind.__module__.startswith("liter."))
        return (kind.__doc__ or "").partition("\n")[0] or None
    return None


def _text(part: object, name: str) -> str:
    value = getattr(part, name, None)
    return value if isinstance(value, str) else ""
