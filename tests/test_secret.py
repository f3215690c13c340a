"""Secrets never print."""

import copy
import logging
import pickle

import pytest

from liter._secret import Secret

TEXT = "sk-canary-123"


@pytest.mark.parametrize(
    "show",
    [repr, str, "{}".format, "{:>20}".format, lambda secret: f"{secret!r} {secret}", lambda secret: f"{[secret]}"],
)
def test_no_text_made_of_it_shows_it(show: object) -> None:
    """repr, str, format and f-strings are masked."""
    assert callable(show)
    shown = show(Secret(TEXT))
    assert TEXT not in shown
    assert "***" in shown


def test_logging_and_percent_are_masked(caplog: pytest.LogCaptureFixture) -> None:
    """A secret in a log call is masked."""
    logging.getLogger("liter").warning("key %s %r", Secret(TEXT), Secret(TEXT))
    assert TEXT not in caplog.text


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy])
def test_it_does_not_pickle(take: object) -> None:
    """A key does not travel by pickle."""
    assert callable(take)
    with pytest.raises(TypeError, match="does not pickle"):
        take(Secret(TEXT))


def test_only_reveal_gives_it_out() -> None:
    """The text is there for who asks for it by name; equality goes by it."""
    assert Secret(TEXT).reveal() == TEXT
    assert Secret(TEXT) == Secret(TEXT)
    assert hash(Secret(TEXT)) == hash(Secret(TEXT))
    assert Secret(TEXT) != TEXT
    assert Secret(TEXT)
    assert not Secret("")
    assert not hasattr(Secret(TEXT), "__dict__")


def test_only_text_is_secret() -> None:
    """Anything but a str is refused, without showing it."""
    with pytest.raises(TypeError, match="bytes"):
        Secret(TEXT.encode())
