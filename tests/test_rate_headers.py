"""Rate-limit headers: every provider's spelling comes to the same records, and nothing raises."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._http import Headers
from liter._rate_headers import ReportedLimit, parse_rate_headers

DATE = "Tue, 01 Jul 2025 12:00:00 GMT"
UNIX = 1751371200  # the same moment


def parse(**fields: str) -> list[ReportedLimit]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return sorted(parse_rate_headers(Headers(raw)), key=lambda told: (told.unit, told.window or 0, told.limit or 0))


def test_openai() -> None:
    """OpenAI's six headers are two limits; a reset is a duration."""
    assert parse(
        x_ratelimit_limit_requests="60",
        x_ratelimit_remaining_requests="59",
        x_ratelimit_reset_requests="1s",
        x_ratelimit_limit_tokens="150000",
        x_ratelimit_remaining_tokens="149984",
        x_ratelimit_reset_tokens="6m0s",
    ) == [
        ReportedLimit(unit="requests", limit=60.0, remaining=59.0, reset=1.0),
        ReportedLimit(unit="tokens", limit=150000.0, remaining=149984.0, reset=360.0),
    ]


def test_openai_project_tokens() -> None:
    """A project's limit stands beside that of the organisation."""
    assert parse(
        x_ratelimit_limit_tokens="1000",
        x_ratelimit_limit_project_tokens="400",
        x_ratelimit_remaining_project_tokens="300",
    ) == [
        ReportedLimit(unit="tokens", limit=400.0, remaining=300.0),
        ReportedLimit(unit="tokens", limit=1000.0),
    ]


def test_github_models() -> None:
    """The reset of GitHub's requests has a name of its own."""
    assert parse(
        x_ratelimit_limit_requests="50", x_ratelimit_remaining_requests="0", x_ratelimit_timeremaining="3600"
    ) == [ReportedLimit(unit="requests", limit=50.0, remaining=0.0, reset=3600.0)]


def test_anthropic() -> None:
    """Anthropic's resets are RFC 3339 times; they count from the response's date. Its priority tier is no limit."""
    assert parse(
        date=DATE,
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="49",
        anthropic_ratelimit_requests_reset="2025-07-01T12:00:01Z",
        anthropic_ratelimit_input_tokens_limit="40000",
        anthropic_ratelimit_input_tokens_remaining="39000",
        anthropic_ratelimit_input_tokens_reset="2025-07-01T12:00:02.5+00:00",
        anthropic_ratelimit_output_tokens_limit="8000",
        anthropic_priority_input_tokens_limit="10",
        anthropic_fast_output_tokens_limit="7000",
    ) == [
        ReportedLimit(unit="input_tokens", limit=40000.0, remaining=39000.0, reset=2.5),
        ReportedLimit(unit="output_tokens", limit=7000.0),
        ReportedLimit(unit="output_tokens", limit=8000.0),
        ReportedLimit(unit="requests", limit=50.0, remaining=49.0, reset=1.0),
    ]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {
                "x_ratelimit_limit_requests_day": "14400",
                "x_ratelimit_remaining_requests_day": "14399",
                "x_ratelimit_reset_requests_day": "33011.38",
            },
            ReportedLimit(unit="requests", limit=14400.0, remaining=14399.0, reset=33011.38, window=86400.0),
        ),
        (
            {"x_ratelimit_limit_req_minute": "60", "x_ratelimit_remaining_req_minute": "58"},
            ReportedLimit(unit="requests", limit=60.0, remaining=58.0, window=60.0),
        ),
        (
            {"x_ratelimit_limit_tokens_month": "10", "x_ratelimit_remaining_tokens_month": "4"},
            ReportedLimit(unit="tokens", limit=10.0, remaining=4.0, window=2592000.0),
        ),
        (
            {"x_ratelimit_limit_tokens_per_day": "9", "x_ratelimit_reset_tokens_per_day": str(UNIX + 30), "date": DATE},
            ReportedLimit(unit="tokens", limit=9.0, reset=30.0, window=86400.0),
        ),
        (
            {"ratelimitbysize_limit": "500000", "ratelimitbysize_remaining": "499000", "ratelimitbysize_reset": "12"},
            ReportedLimit(unit="tokens", limit=500000.0, remaining=499000.0, reset=12.0, window=60.0),
        ),
        (
            {"x_tokenlimit_limit": "7", "x_tokenlimit_remaining": "5"},
            ReportedLimit(unit="tokens", limit=7.0, remaining=5.0),
        ),
        (
            {"x_ratelimit_limit_tokens_prompt": "60000"},
            ReportedLimit(unit="input_tokens", limit=60000.0),
        ),
        (
            {"x_ratelimit_limit_tokens_generated": "6000"},
            ReportedLimit(unit="output_tokens", limit=6000.0),
        ),
        (
            {
                "x_ratelimit_limit": "20",
                "x_ratelimit_remaining": "0",
                "x_ratelimit_reset": str((UNIX + 5) * 1000),
                "date": DATE,
            },
            ReportedLimit(unit="requests", limit=20.0, remaining=0.0, reset=5.0),
        ),
        (
            {"x_trial_endpoint_call_limit": "40", "x_trial_endpoint_call_remaining": "39"},
            ReportedLimit(unit="requests", limit=40.0, remaining=39.0, window=60.0),
        ),
        (
            {"ratelimit": '"api";r=999;t=295', "ratelimit_policy": '"fixed window";"api";q=1000;w=300'},
            ReportedLimit(unit="requests", limit=1000.0, remaining=999.0, reset=295.0, window=300.0),
        ),
        (
            {"ratelimit_limit": "100", "ratelimit_remaining": "50", "ratelimit_reset": "5"},
            ReportedLimit(unit="requests", limit=100.0, remaining=50.0, reset=5.0),
        ),
    ],
    ids=[
        "Cerebras", "Mistral", "Mistral's month", "DigitalOcean", "Mistral's older", "Together", "Fireworks",
        "Fireworks' output", "OpenRouter", "Cohere", "Hugging Face", "older IETF",
    ],
)  # fmt: skip
def test_spellings(headers: dict[str, str], expected: ReportedLimit) -> None:
    """Each provider's spelling is read to the same record, with the window where the name tells it."""
    assert parse(**headers) == [expected]


def test_lists_of_windows() -> None:
    """A list is one limit for each window of the policy."""
    assert parse(
        x_ratelimit_limit="1, 2000",
        x_ratelimit_remaining="0, 1500",
        x_ratelimit_reset="1, 90000",
        x_ratelimit_policy="1;w=1, 2000;w=2592000",
    ) == [
        ReportedLimit(unit="requests", limit=1.0, remaining=0.0, reset=1.0, window=1.0),
        ReportedLimit(unit="requests", limit=2000.0, remaining=1500.0, reset=90000.0, window=2592000.0),
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("20ms", 0.02),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("1d2h", 93600.0),
        ("2m59.56s", 179.56),
        ("17", 17.0),
        ("0.25", 0.25),
        (str(UNIX + 9), 9.0),
        (str(UNIX * 1000 + 9500), 9.5),
        ("2025-07-01T12:00:07Z", 7.0),
        ("Tue, 01 Jul 2025 12:01:00 GMT", 60.0),
        ("2025-07-01T11:00:00Z", 0.0),
        ("soon", None),
        ("", None),
        ("-1", None),
        ("1e999", None),
        ("9" * 400, None),
        ("9" * 400 + "s", None),
        ("1s later", None),
    ],
)
def test_resets(text: str, seconds: float | None) -> None:
    """A reset is read as a number, a duration, a date or a Unix time; what has passed is 0, the malformed not told."""
    (told,) = parse(date=DATE, x_ratelimit_limit_requests="1", x_ratelimit_reset_requests=text)
    assert told.reset == (None if seconds is None else pytest.approx(seconds))


def test_dates_without_a_date() -> None:
    """Without the response's own date, a time of day tells nothing."""
    (told,) = parse(x_ratelimit_limit_requests="1", x_ratelimit_reset_requests=str(UNIX))
    assert told.reset is None


@pytest.mark.parametrize("value", ["-1", "0", "many", "nan", "inf", "\u0663"])
def test_a_malformed_limit_is_not_told(value: str) -> None:
    """A limit that is no positive number is not told; what remains still is."""
    raw = [(b"x-ratelimit-limit-tokens", value.encode()), (b"x-ratelimit-remaining-tokens", b"5")]
    assert parse_rate_headers(Headers(raw)) == (ReportedLimit(unit="tokens", remaining=5.0),)


@pytest.mark.parametrize(
    "name",
    [
        "x-ratelimit-limit-images", "x-ratelimit-over-limit", "x-ratelimit-limit-tokens-cache-adjusted-prompt",
        "x-ratelimit-timeremaining", "x-ratelimit-tokens-query-cost", "x-ratelimit-limit-input-requests",
        "x-ratelimit-reset-requests", "content-length",
    ],
)  # fmt: skip
def test_other_headers_are_no_limits(name: str) -> None:
    """A name that counts something else is left alone, and a reset alone is no limit."""
    assert parse_rate_headers(Headers([(name.encode(), b"10")])) == ()


NAMES = [
    "date", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-policy", "ratelimit",
    "ratelimit-policy", "x-ratelimit-limit-requests", "x-ratelimit-reset-requests", "x-ratelimit-remaining-tokens",
    "anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-limit", "x-tokenlimit-reset",
]  # fmt: skip
PIECES = st.sampled_from(
    [*'0123456789.,;="-: TZeEsmhd', "GMT", "Tue, ", "0001-01-01T00:00:00Z", DATE, "99999999999999", "r=", "q=", "w="]
)
VALUES = st.binary(max_size=40) | st.lists(PIECES, max_size=12).map(lambda pieces: "".join(pieces).encode())


@given(st.lists(st.tuples(st.sampled_from(NAMES).map(str.encode), VALUES), max_size=8))
def test_nothing_raises(raw: list[tuple[bytes, bytes]]) -> None:
    """Whatever the headers hold, there are records of finite numbers, none below zero, and no exception."""
    for told in parse_rate_headers(Headers(raw)):
        for number in (told.limit, told.remaining, told.reset, told.window):
            assert number is None or 0 <= number < math.inf
        assert told.limit != 0
        assert told.window != 0


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_durations_add_up(days: int, hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    """A duration is the sum of its parts."""
    text = f"{days}d{hours}h{minutes}m{seconds}s{milliseconds}ms"
    (told,) = parse(x_ratelimit_limit_requests="1", x_ratelimit_reset_requests=text)
    expected = ((days * 24 + hours) * 60 + minutes) * 60 + seconds + milliseconds / 1000
    assert told.reset == pytest.approx(expected)
