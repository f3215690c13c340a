"""Parameters that a provider does not take are refused, or dropped, never lost in silence."""

import logging

import pytest
from msgspec.structs import replace

from liter import BadRequestError
from liter.providers._parameters import Mapped, Renamed, Sent, Unsupported, refuse, supported
from liter.types import ChatCompletionRequest

RULES = {
    "model": Sent(),
    "messages": Mapped("as contents"),
    "temperature": Sent(),
    "max_tokens": Renamed("limit"),
    "seed": Unsupported("it is always random"),
    "n": Unsupported(neutral=(1,)),
}


@pytest.fixture
def request_() -> ChatCompletionRequest:
    """A request with parameters of all kinds."""
    return ChatCompletionRequest(
        model="m", messages=[{"role": "user", "content": "?"}], temperature=0, max_tokens=1, seed=7, user="u"
    )


def test_what_is_taken_stays_as_it_is(call_of, request_) -> None:
    """The very same request comes back."""
    taken = replace(request_, seed=None, user=None)
    assert supported(RULES, taken, call_of(taken)) is taken


def test_what_is_not_taken_is_refused_by_name(call_of, request_) -> None:
    """With the provider, and what to do instead."""
    with pytest.raises(BadRequestError, match="openai does not take 'seed': it is always random, leave it out"):
        supported(RULES, request_, call_of(request_))


def test_what_the_table_does_not_name_is_refused(call_of, request_) -> None:
    """A parameter that was forgotten in a table is not lost in silence."""
    asked = replace(request_, seed=None)
    with pytest.raises(BadRequestError, match="'user'"):
        supported(RULES, asked, call_of(asked))


def test_it_is_dropped_with_a_warning_where_the_call_says_so(call_of, request_, caplog) -> None:
    """All at once, and the rest stays."""
    call = replace(call_of(request_), unsupported="drop")
    with caplog.at_level(logging.WARNING, "liter"):
        kept = supported(RULES, request_, call)
    assert (kept.seed, kept.user, kept.temperature, kept.max_tokens) == (None, None, 0, 1)
    assert caplog.messages == ["openai does not take 'seed', 'user': dropped"]


def test_a_value_that_asks_for_what_is_done_anyway_is_left_out(call_of, request_, caplog) -> None:
    """Without an error, and without a warning; another value of the parameter is refused."""
    asked = replace(request_, seed=None, user=None, n=1)
    assert supported(RULES, asked, call_of(asked)) == replace(asked, n=None)
    assert not caplog.messages
    with pytest.raises(BadRequestError, match="'n'"):
        supported(RULES, replace(asked, n=2), call_of(asked))


def test_a_single_value_is_refused_or_dropped_alike(call_of, request_, caplog) -> None:
    """As the call says, with what would be right."""
    call = call_of(request_)
    with pytest.raises(
        BadRequestError, match="openai does not take effort 'x': give 'low', or pass unsupported='drop'"
    ):
        refuse(call, "effort 'x'", "give 'low'")
    refuse(replace(call, unsupported="drop"), "effort 'x'")
    assert caplog.messages == ["openai does not take effort 'x': dropped"]
