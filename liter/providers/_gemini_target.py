"""Whom a request is made for: which of Google's services, and which model."""

import msgspec

from .._contract import Call
from ._gemini_models import ModelFacts, facts_of
from ._parameters import refuse


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What the making of a request depends on beside the request.

    :param provider: the provider's name
    :param facts: what the model can do
    :param vertex: whether it goes to Vertex AI and not to the Gemini API
    """

    call: Call[object]
    provider: str
    facts: ModelFacts
    vertex: bool = False

    @property
    def model(self) -> str:
        return self.call.route.model

    def cannot(self, what: str, instead: str) -> None:
        """Report what Gemini has no word for; go on without it where the caller wants that.

        :raises BadRequestError: the caller does not
        """
        refuse(self.call, what, instead)


def target_of(call: Call[object], provider: str, *, vertex: bool = False) -> Target:
    """Whom a call is for."""
    return Target(call=call, provider=provider, facts=facts_of(call.route.model), vertex=vertex)
