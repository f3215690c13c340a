"""The error tree. The class depends on the fact, never on the provider that reported it.

::

    LlmError
    |-- the caller's side: sending it again changes nothing
    |   |-- AuthenticationError            401, 403: no key, a wrong key, no permission
    |   |-- BadRequestError                400, 413, 422
    |   |   |-- ContextWindowExceededError
    |   |   `-- ContentPolicyError
    |   |-- NotFoundError                  404, 405, 410: model, deployment or route
    |   |-- EndpointNotSupportedError      before any I/O: the provider has no such operation
    |   |-- InvalidHeaderError             before any I/O: not a legal HTTP header
    |   |-- BudgetExceededError            before any I/O: a limit of ours
    |   `-- HookRejectedError              before any I/O: a hook said no
    |-- the provider's side: later, or elsewhere, it may work
    |   |-- RateLimitedError               429; not retryable when ``quota_exhausted``
    |   |-- ServerError                    500, 502, ...
    |   `-- ServiceUnavailableError        503, 529: overloaded, loading
    |-- the way between
    |   |-- LlmTimeoutError                one of our limits passed, or 408, 504
    |   |-- NetworkError                   no connection, or it broke
    |   `-- StreamingError                 a stream ended, or broke its form, before its end
    `-- SerializationError, InternalError  what came cannot be read; a fault of liter's own
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, TypedDict, Unpack

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from ._contract import Attempt

# Enough to see what a provider said; some answer with a whole HTML page.
BODY_LIMIT = 8 * 1024


class ErrorFields(TypedDict, total=False):
    """What every error may be made with: see :class:`LlmError`."""

    status: int | None
    provider: str | None
    model: str | None
    request_id: str | None
    retry_after: float | None
    code: str | None
    body: bytes
    headers: Mapping[str, str]
    attempts: "tuple[Attempt, ...]"
    partial: object | None
    retryable: bool | None


class LlmError(Exception):
    """The root of every error that liter raises about a call.

    All fields are optional, none ever holds a credential, and every error pickles.

    :param message: what was wrong and, where we know it, what would be right
    :param status: HTTP status, or ``None`` where there was no answer
    :param provider: name of the provider, as registered
    :param model: model as it was sent to the provider
    :param request_id: the provider's id of the request
    :param retry_after: seconds to wait before another try, when known
    :param code: the provider's own machine-readable code or type
    :param body: the answer's first bytes (at most 8 KiB)
    :param headers: those of the answer, without cookies; empty where there was none. Names ignore case
    :param attempts: what was tried for this call, oldest first
    :param partial: what had arrived when a stream failed: a ``ChatCompletionResponse``, or ``None``
    :param retryable: whether the same request may work later; by default the class decides
    """

    _retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        provider: str | None = None,
        model: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        code: str | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        attempts: "tuple[Attempt, ...]" = (),
        partial: object | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.provider = provider
        self.model = model
        self.request_id = request_id
        self.retry_after = retry_after
        self.code = code
        self.body: bytes = body[:BODY_LIMIT]
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.attempts = attempts
        self.partial = partial
        self.retryable: bool = self._retryable if retryable is None else retryable

    def __str__(self) -> str:
        where = "/".join(part for part in (self.provider, self.model) if part)
        facts = [
            f"status {self.status}" if self.status is not None else "",
            f"code {self.code}" if self.code else "",
            f"request id {self.request_id}" if self.request_id else "",
            f"retry after {self.retry_after:g} s" if self.retry_after is not None else "",
            f"{len(self.attempts)} attempts" if len(self.attempts) > 1 else "",
        ]
        told = ", ".join(fact for fact in facts if fact)
        return f"{where + ': ' if where else ''}{self.message}{f' ({told})' if told else ''}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Callable[..., "LlmError"], tuple[type["LlmError"], Mapping[str, object]]]:
        return _rebuild, (type(self), self.__dict__.copy())


def _rebuild(cls: type[LlmError], fields: Mapping[str, object]) -> LlmError:
    error = cls.__new__(cls, fields["message"])
    error.__dict__.update(fields)
    return error


class AuthenticationError(LlmError):
    """No key, a key that the provider refuses, or one without the permission asked for."""


class BadRequestError(LlmError):
    """The provider refuses the request as it is."""


class ContextWindowExceededError(BadRequestError):
    """Prompt, or prompt and wanted output, do not fit the model's context window."""


class ContentPolicyError(BadRequestError):
    """The provider's content policy stopped the request or the answer."""


class NotFoundError(LlmError):
    """No such model, deployment, object or route."""


class EndpointNotSupportedError(LlmError):
    """The provider does not offer this operation. Raised before any I/O."""


class InvalidHeaderError(LlmError):
    """A header name or value that HTTP does not allow. Raised before any I/O."""


class BudgetExceededError(LlmError):
    """A spending limit of the caller's own would be passed, or what a call costs is not known before.

    In the second case, where a price or a bound is missing, all fields are ``None``. ``retry_after`` is the time until
    the window ends; what is only reserved may be free before.

    :param limit: US dollars that may be spent in the window
    :param spent: US dollars that are spent
    :param reserved: US dollars that calls under way hold
    :param asked: US dollars that this one would have held
    :param resets_at: when the window ends, in UTC; ``None``: never
    """

    def __init__(
        self,
        message: str,
        *,
        limit: "Decimal | None" = None,
        spent: "Decimal | None" = None,
        reserved: "Decimal | None" = None,
        asked: "Decimal | None" = None,
        resets_at: "datetime | None" = None,
        **fields: Unpack[ErrorFields],
    ) -> None:
        super().__init__(message, **fields)
        self.limit = limit
        self.spent = spent
        self.reserved = reserved
        self.asked = asked
        self.resets_at = resets_at


class HookRejectedError(LlmError):
    """A hook rejected the call."""


class RateLimitedError(LlmError):
    """Too many requests or tokens, or no quota left.

    ``quota_exhausted`` tells the two apart: waiting does not bring back a quota or a balance,
    so such an error is not retryable.
    """

    _retryable = True

    def __init__(
        self,
        message: str,
        *,
        quota_exhausted: bool = False,
        **fields: Unpack[ErrorFields],
    ) -> None:
        if fields.get("retryable") is None:
            fields["retryable"] = not quota_exhausted
        super().__init__(message, **fields)
        self.quota_exhausted = quota_exhausted


class ServerError(LlmError):
    """The provider failed."""

    _retryable = True


class ServiceUnavailableError(LlmError):
    """The provider is overloaded, is loading the model, or is down."""

    _retryable = True


class LlmTimeoutError(LlmError):
    """A time limit passed. ``limit`` names it, ``seconds`` is its length.

    ``limit`` is one of ``"connect"``, ``"first event"``, ``"between events"``, ``"total"``; for a
    wait that a layer refused or gave up, that layer's name; ``None`` when the provider timed out.
    Only a timeout that leaves time on the call's own clock (``connect``, the provider's) is
    retryable.
    """

    def __init__(
        self,
        message: str,
        *,
        limit: str | None = None,
        seconds: float | None = None,
        **fields: Unpack[ErrorFields],
    ) -> None:
        if fields.get("retryable") is None:
            fields["retryable"] = limit in (None, "connect")
        super().__init__(message, **fields)
        self.limit = limit
        self.seconds = seconds


class NetworkError(LlmError):
    """No connection could be made, or it broke.

    ``connected`` is whether there was one, over which the request may have gone out.
    """

    _retryable = True

    def __init__(self, message: str, *, connected: bool = True, **fields: Unpack[ErrorFields]) -> None:
        super().__init__(message, **fields)
        self.connected = connected


class StreamingError(LlmError):
    """A stream broke its form or ended before its terminal event. ``partial`` has what had come."""

    _retryable = True


class SerializationError(LlmError):
    """What came cannot be read as what it should be."""


class InternalError(LlmError):
    """A fault of liter's own. Please report it."""
