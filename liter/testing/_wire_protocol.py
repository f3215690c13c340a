"""What the simulator asks of a provider's wire."""

from typing import Protocol

from ._simulator_exchange import ReceivedRequest
from ._simulator_model import Model
from ._simulator_steps import Step

Headers = tuple[tuple[str, str], ...]


class Refusal(Exception):  # noqa: N818 # what the caller did wrong, not an error of the simulator
    """The request is refused as the provider would refuse it."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param


class Wire(Protocol):
    """One provider's side: requests to steps, in its own form."""

    def speaks(self, request: ReceivedRequest) -> bool:
        """Whether a request is one of this provider's: by its path, or by a header that no other has."""
        ...

    def headers(self, request_id: str) -> Headers:
        """The headers of every answer: request id, rate limits."""
        ...

    def request_id(self, headers: Headers) -> str:
        """Find the request id in the headers of an answer."""
        ...

    def key(self, request: ReceivedRequest) -> str | None:
        """The API key that a request bears; empty where this provider asks for none."""
        ...

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        """Answer a request to one of its routes.

        :raises Refusal: it is wrong, or to no route that the simulator knows
        """
        ...

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Make the body of a refusal."""
        ...

    def error_event(self, kind: str | None, message: str) -> bytes:
        """Make an event that reports an error in the middle of a stream; without a kind, an overload."""
        ...
