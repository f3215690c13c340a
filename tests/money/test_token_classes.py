"""Token classes do not overlap, and sum to the totals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter.money import TokenClasses
from liter.types import CompletionTokensDetails, PromptTokensDetails, Usage

small = st.none() | st.integers(0, 50)


def details_of(kind: type) -> st.SearchStrategy[object]:
    """Details with any of their counts told, or not."""
    told = st.fixed_dictionaries(dict.fromkeys(kind.__struct_fields__, small))
    return st.none() | told.map(lambda counts: kind(**counts))


@given(st.integers(0, 400), st.integers(0, 400), details_of(PromptTokensDetails), details_of(CompletionTokensDetails))
def test_classes_sum_to_the_totals_or_contradict(prompt, completion, prompt_details, completion_details) -> None:
    """Whatever is reported: either no class is negative and they sum to the totals, or it is refused."""
    usage = Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        prompt_tokens_details=prompt_details,
        completion_tokens_details=completion_details,
    )
    try:
        classes = TokenClasses.of(usage)
    except ValueError as error:
        assert "would be negative" in str(error)  # noqa: PT017 # either outcome is right, by turns
        return
    assert (classes.prompt_tokens, classes.completion_tokens) == (prompt, completion)
    assert all(getattr(classes, name) >= 0 for name in classes.__struct_fields__)


def test_no_details_are_text() -> None:
    """What nothing is told about is text."""
    assert TokenClasses.of(Usage(prompt_tokens=3, completion_tokens=4)) == TokenClasses(text_input=3, text_output=4)


def test_cached_audio_is_not_audio_twice() -> None:
    """Audio that was read from the cache is in the class of cached audio only."""
    details = PromptTokensDetails(cached_tokens=10, cached_audio_tokens=6, audio_tokens=20)
    classes = TokenClasses.of(Usage(prompt_tokens=50, prompt_tokens_details=details))
    assert classes == TokenClasses(text_input=26, cache_read=4, cache_read_audio=6, audio_input=14)


def test_writes_split_by_how_long_they_are_kept() -> None:
    """An hour's writes are apart; all others are of five minutes."""
    details = PromptTokensDetails(cache_write_tokens=30, cache_write_1h_tokens=10)
    classes = TokenClasses.of(Usage(prompt_tokens=40, prompt_tokens_details=details))
    assert classes == TokenClasses(text_input=10, cache_write_5m=20, cache_write_1h=10)


@pytest.mark.parametrize(
    ("usage", "named"),
    [
        (Usage(prompt_tokens=5, prompt_tokens_details=PromptTokensDetails(cached_tokens=6)), "text_input"),
        (Usage(prompt_tokens=9, prompt_tokens_details=PromptTokensDetails(cache_write_1h_tokens=6)), "cache_write_5m"),
        (
            Usage(completion_tokens=5, completion_tokens_details=CompletionTokensDetails(reasoning_tokens=6)),
            "text_output",
        ),
        (Usage(prompt_tokens=-1), "text_input"),
    ],
)
def test_a_contradiction_is_told_and_not_clamped(usage: Usage, named: str) -> None:
    """Parts that come to more than the whole are refused, with the class and the report."""
    with pytest.raises(ValueError, match=rf"{named} would be negative in Usage\("):
        TokenClasses.of(usage)
