"""How long to wait, in the many ways in which providers say it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._http import Headers
from liter.providers._retry_after import retry_after

NOW = "Wed, 21 Oct 2026 07:28:00 GMT"


def wait(body: object = None, **headers: str) -> float | None:
    """The wait that some headers tell, at a fixed time."""
    named = {"date": NOW, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return retry_after(Headers([(name.encode(), value.encode()) for name, value in named.items()]), body)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7),
        ({"retry_after": "2.5"}, 2.5),
        ({"retry_after": "0"}, 0),
        ({"retry_after": " 7 "}, 7),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after_ms": "soon", "retry_after": "9"}, 9),
        ({"retry_after": "Wed, 21 Oct 2026 07:29:30 GMT"}, 90),
        ({"retry_after": "Wed, 21 Oct 2026 07:20:00 GMT"}, 0),
        ({"retry_after": "2026-10-21T07:28:05Z"}, 5),
        ({"retry_after": "1m30.5s"}, 90.5),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "١٢"}, None),
        ({"retry_after": "9" * 400}, None),
        ({"retry_after": "99999999"}, None),
        # Used-up limits, and those that are not.
        ({"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "6m0s"}, 360),
        ({"x_ratelimit_remaining_requests": "3", "x_ratelimit_reset_requests": "6m0s"}, None),
        ({"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "20ms"}, 0.02),
        ({"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "1d2h3m4.5s"}, 93784.5),
        (
            {
                "x_ratelimit_remaining_requests": "0",
                "x_ratelimit_reset_requests": "1s",
                "x_ratelimit_remaining_tokens": "0",
                "x_ratelimit_reset_tokens": "2m59.56s",
            },
            179.56,
        ),
        (
            {
                "anthropic_ratelimit_input_tokens_remaining": "0",
                "anthropic_ratelimit_input_tokens_reset": "2026-10-21T07:28:21Z",
                "anthropic_ratelimit_output_tokens_remaining": "8000",
                "anthropic_ratelimit_output_tokens_reset": "2026-10-21T07:38:21Z",
            },
            21,
        ),
        # Unix time in milliseconds (OpenRouter) and seconds.
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1792567700000"}, 20),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1792567690"}, 10),
        # One entry for each window (Brave), and the IETF's draft (Hugging Face).
        ({"x_ratelimit_remaining": "1, 0", "x_ratelimit_reset": "1, 2000"}, 2000),
        ({"x_ratelimit_remaining": "0, 9", "x_ratelimit_reset": "1, 2000"}, 1),
        ({"ratelimit": '"api";r=0;t=295'}, 295),
        ({"ratelimit": '"api";r=9;t=295'}, None),
        ({"retry_after": "3", "ratelimit": '"api";r=0;t=295'}, 3),
    ],
)
def test_headers_tell_the_wait(headers, seconds):
    """Numbers, durations, dates and reset times, counted from the answer's own date."""
    told = (
        wait(**headers)
        if all(value.isascii() for value in headers.values())
        else retry_after(Headers([(b"retry-after", headers["retry_after"].encode())]))
    )
    assert told == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (
            {"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}]}},
            34.07,
        ),
        ({"error": {"details": [{"@type": "x"}, 5, {"@type": "a/google.rpc.RetryInfo", "retryDelay": 3}]}}, None),
        ({"error": {"details": 5}}, None),
        ({"error": "x"}, None),
        ([], None),
    ],
)
def test_googles_body_tells_the_wait(body, seconds):
    """Unless a header does."""
    assert wait(body) == seconds
    assert wait(body, retry_after="1") == 1


def test_without_a_date_the_computers_clock_counts():
    """A date long past is no wait."""
    assert retry_after(Headers([(b"retry-after", b"Wed, 21 Oct 2015 07:28:00 GMT")])) == 0


@given(st.floats(0, 86400).map(lambda seconds: round(seconds, 3)))
def test_seconds_with_fractions_come_through(seconds):
    """Whatever their digits."""
    assert wait(retry_after=f"{seconds:.3f}") == pytest.approx(seconds)
