"""``Cache``: which calls are identical."""

import itertools
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._contract import Call, Route
from liter._secret import Secret
from liter.credentials import FromEnvironment
from liter.middleware._cache_key import KeyMaker
from liter.types import ChatCompletionRequest, ListModelsRequest, TranscriptionRequest, UserMessage


class City(msgspec.Struct):
    name: str


class Town(msgspec.Struct):
    name: str


KEYS = KeyMaker(tags=("tenant",), ignore=frozenset(), ignore_headers=frozenset(), share_keys=False)
ROUTE = Route(provider="openai", model="gpt-4o", base_url="https://api.openai.com/v1", api_key=Secret("sk-one"))
MESSAGES: list[Mapping[str, object]] = [{"role": "user", "content": "Hi"}]


def make_call(**fields: object) -> Call[object]:
    call: Call[object] = Call(
        operation="chat", request=ChatCompletionRequest(model="gpt-4o", messages=MESSAGES), route=ROUTE
    )
    return msgspec.structs.replace(call, **fields)


def make_request(**fields: object) -> ChatCompletionRequest:
    request = ChatCompletionRequest(model="gpt-4o", messages=MESSAGES)
    return msgspec.structs.replace(request, **fields)


# Two values of each parameter of a chat. A parameter that is not here fails the test that uses it.
PARAMETERS: Mapping[str, tuple[object, object]] = {
    "messages": ([UserMessage(content="Ho")], [UserMessage(content="Ho", name="x")]),
    "max_completion_tokens": (1, 2),
    "max_tokens": (1, 2),
    "temperature": (0.0, 0.5),
    "top_p": (0.1, 0.2),
    "n": (1, 2),
    "stop": ("a", ["a"]),
    "seed": (0, 1),
    "presence_penalty": (0.0, 1.0),
    "frequency_penalty": (0.0, 1.0),
    "logit_bias": ({"1": 1.0}, {"2": 1.0}),
    "logprobs": (True, False),
    "top_logprobs": (0, 1),
    "tools": ([{"type": "function", "function": {"name": "f"}}], [{"type": "function", "function": {"name": "g"}}]),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": (City, Town),
    "reasoning_effort": ("low", "high"),
    "verbosity": ("low", "high"),
    "modalities": (["text"], ["text", "audio"]),
    "audio": ({"voice": "a", "format": "wav"}, {"voice": "b", "format": "wav"}),
    "prediction": ({"type": "content", "content": "a"}, {"type": "content", "content": "b"}),
    "web_search_options": ({}, {"search_context_size": "low"}),
    "service_tier": ("flex", "default"),
    "store": (True, False),
    "metadata": ({"a": "1"}, {"a": "2"}),
    "prompt_cache_key": ("a", "b"),
    "prompt_cache_retention": ("in_memory", "24h"),
    "prompt_cache_options": ({"mode": "a"}, {"mode": "b"}),
    "safety_identifier": ("a", "b"),
    "user": ("a", "b"),
    "moderation": ({"model": "a"}, {"model": "b"}),
    "stream_options": ({"include_usage": True}, {"include_usage": False}),
    "functions": ([{"name": "f"}], [{"name": "g"}]),
    "function_call": ("none", "auto"),
    "extra_body": ({"top_k": 1}, {"top_k": 2}),
}


@pytest.mark.parametrize("name", [name for name in ChatCompletionRequest.__struct_fields__ if name != "model"])
def test_every_parameter_is_in_the_key(name: str) -> None:
    """Two requests that differ in one parameter, whichever, have two keys; unless it is to be ignored."""
    requests = [make_request(), *(make_request(**{name: value}) for value in PARAMETERS[name])]
    keys = [KEYS.key(make_call(request=request)) for request in requests]
    assert None not in keys
    assert len(set(keys)) == 3
    ignoring = msgspec.structs.replace(KEYS, ignore=frozenset({name}))
    assert len({ignoring.key(make_call(request=request)) for request in requests}) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"operation": "other"},
        {"stream": True},
        {"route": msgspec.structs.replace(ROUTE, provider="other")},
        {"route": msgspec.structs.replace(ROUTE, model="other")},
        {"route": msgspec.structs.replace(ROUTE, base_url="https://other.example/v1")},
        {"route": msgspec.structs.replace(ROUTE, settings={"engine_id": "of one's own"})},
        {"route": msgspec.structs.replace(ROUTE, api_key=Secret("sk-two"))},
        {"route": msgspec.structs.replace(ROUTE, api_key=None)},
        {"tags": {"tenant": "a"}},
        {"tags": {"tenant": ""}},
        {"headers": ((b"anthropic-beta", b"a"),)},
        {"request": ListModelsRequest()},
    ],
    ids=str,
)
def test_where_and_for_whom_is_in_the_key(other: dict[str, object]) -> None:
    """Operation, provider, model, address, account, tenant and headers tell calls apart."""
    assert KEYS.key(make_call()) != KEYS.key(make_call(**other))


@pytest.mark.parametrize(
    "other",
    [
        {"started": 5.0},
        {"attempt": 2, "waited": 1.0},
        {"tags": {"user": "x"}},
        {"cache": "refresh"},
        {"headers": ((b"idempotency-key", b"0123"),)},
        {"request": ChatCompletionRequest(model="openai/gpt-4o", messages=[UserMessage(content="Hi")])},
        {"request": make_request(user=None)},
    ],
    ids=str,
)
def test_what_changes_no_answer_is_not_in_the_key(other: dict[str, object]) -> None:
    """Times, other tags, an idempotency key and how the request was written down make no difference."""
    assert KEYS.key(make_call()) == KEYS.key(make_call(**other))


def test_headers_may_be_left_out() -> None:
    """Those named do not matter, all others do; their order matters among those of one name only."""
    ignoring = msgspec.structs.replace(KEYS, ignore_headers=frozenset({b"traceparent"}))
    trace, a, b, b2 = (b"traceparent", b"1"), (b"a", b"1"), (b"b", b"1"), (b"b", b"2")
    assert ignoring.key(make_call(headers=(trace,))) == ignoring.key(make_call())
    assert KEYS.key(make_call(headers=(trace,))) != KEYS.key(make_call())
    assert ignoring.key(make_call(headers=(a,))) != ignoring.key(make_call())
    assert KEYS.key(make_call(headers=(a, b))) == KEYS.key(make_call(headers=(b, a)))
    assert KEYS.key(make_call(headers=(b, b2))) != KEYS.key(make_call(headers=(b2, b)))


def test_accounts_share_only_when_told_to() -> None:
    """With ``share_keys`` the API key makes no difference, and the tenant still does."""
    sharing = msgspec.structs.replace(KEYS, share_keys=True)
    other = msgspec.structs.replace(ROUTE, api_key=Secret("sk-two"))
    assert sharing.key(make_call()) == sharing.key(make_call(route=other))
    assert sharing.key(make_call(tags={"tenant": "a"})) != sharing.key(make_call(route=other))


def test_sources_of_keys_are_accounts() -> None:
    """Where a key comes from a source, another source is another account; one that cannot be told apart has no key."""

    class Unhashable(FromEnvironment):
        __hash__ = None

    one, two = FromEnvironment("ONE"), FromEnvironment("ONE")
    routes = [
        msgspec.structs.replace(ROUTE, api_key=None, credentials=source)
        for source in (None, one, two, Unhashable("ONE"))
    ]
    keys = [KEYS.key(make_call(route=route)) for route in routes]
    assert keys[3] is None
    assert len(set(keys)) == 4
    assert keys[1] == KEYS.key(make_call(route=routes[1]))
    sharing = msgspec.structs.replace(KEYS, share_keys=True)
    assert len({sharing.key(make_call(route=route)) for route in [ROUTE, *routes]}) == 1


def test_tags_do_not_trade_places() -> None:
    """A value of one tag is not the same under another, and only those named count."""
    both = msgspec.structs.replace(KEYS, tags=("tenant", "region"))
    calls = [make_call(tags=tags) for tags in ({"tenant": "a"}, {"region": "a"}, {"tenant": "a", "region": "a"})]
    assert len({both.key(call) for call in calls}) == 3
    none = msgspec.structs.replace(KEYS, tags=())
    assert len({none.key(call) for call in calls}) == 1


def test_the_same_type_of_reply_is_its_schema() -> None:
    """A type given as ``response_format`` counts by the schema that is sent, not by its name."""
    first = msgspec.defstruct("Place", [("name", str)])
    same = msgspec.defstruct("Place", [("name", str)])
    changed = msgspec.defstruct("Place", [("name", str), ("country", str)])
    keys = [KEYS.key(make_call(request=make_request(response_format=kind))) for kind in (first, same, changed)]
    assert keys[0] == keys[1] != keys[2]


def test_mappings_and_sequences_of_all_kinds() -> None:
    """A read-only mapping, or a range, is the same as the dict or list that is sent for it."""
    plain = make_request(extra_body={"a": {"b": [0, 1]}})
    other = make_request(extra_body=MappingProxyType({"a": MappingProxyType({"b": range(2)})}))
    assert KEYS.key(make_call(request=plain)) == KEYS.key(make_call(request=other)) is not None


def test_what_is_no_json_has_no_key() -> None:
    """A request that cannot be written down is no business of the cache's."""
    inside: dict[str, object] = {}
    inside["again"] = inside
    for body in ({"a": object()}, {"a": "\ud800"}, inside):
        assert KEYS.key(make_call(request=make_request(extra_body=body))) is None


def test_a_file_counts_by_its_content(tmp_path: Path) -> None:
    """And by its name and media type, which are sent; one that is not read yet has no key."""
    path = tmp_path / "sound.wav"
    path.write_bytes(b"sound")

    def key(file: object) -> str | None:
        return KEYS.key(make_call(request=TranscriptionRequest(model="m", file=file)))

    assert key(b"sound") == key(b"sound")
    assert len({key(file) for file in (b"sound", b"noise", ("a.wav", b"sound"), ("a.mp3", b"sound"))}) == 4
    with path.open("rb") as opened:
        assert key(opened) is key(path) is None


def test_the_key_is_a_hash_alone() -> None:
    """Nothing of the request or the account can be read from a key, however it is shown."""
    key = KEYS.key(make_call())
    assert key is not None
    prefix, _, digest = key.rpartition(":")
    assert prefix == "liter:cache:4"
    assert len(digest) == 64
    assert set(digest) <= set("0123456789abcdef")


SCRIPT = """
from liter import Call, ChatCompletionRequest, Route, Secret
from liter.middleware._cache_key import KeyMaker
keys = KeyMaker(tags=("tenant",), ignore=frozenset({"seed", "user"}), ignore_headers=frozenset(), share_keys=False)
body = {name: {"b": 1, "a": [1.5, None, "é"]} for name in ("z", "y", "x")}
request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "Hi"}], extra_body=body, user="u")
route = Route(provider="openai", model="m", base_url="https://a.example/v1", api_key=Secret("sk-one"))
call = Call(operation="chat", request=request, route=route, tags={"tenant": "a"}, headers=((b"b", b"1"), (b"a", b"2")))
print(keys.key(call))
"""


@pytest.mark.realtime
def test_the_key_is_the_same_in_every_process() -> None:
    """It does not depend on the seed of the process's hashes: what is kept is found after a restart."""
    keys = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1
    assert keys.pop().startswith("liter:cache:4:")


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_bodies = st.dictionaries(st.text(), _json, max_size=4)


def reordered(value: object) -> object:
    if isinstance(value, dict):
        return {name: reordered(inner) for name, inner in reversed(value.items())}
    return [reordered(inner) for inner in value] if isinstance(value, list) else value


@given(one=_bodies, other=_bodies)
def test_keys_are_equal_exactly_when_what_is_sent_is(one: dict[str, object], other: dict[str, object]) -> None:
    """For any two bodies: the same key if they are the same JSON, in whatever order; two keys if they are not."""

    def key(body: object) -> str | None:
        return KEYS.key(make_call(request=make_request(extra_body=body)))

    assert key(one) == key(reordered(one)) is not None
    sent = [msgspec.json.encode(body, order="sorted") for body in (one, other)]
    assert (key(one) == key(other)) is (sent[0] == sent[1])


def test_no_field_can_pose_as_another() -> None:
    """The same text in different places makes different keys."""
    calls = [make_call(request=make_request(**{name: "x"})) for name in ("user", "safety_identifier", "stop")]
    calls += [make_call(tags={"tenant": "x"}), make_call(headers=((b"user", b"x"),)), make_call(operation="x")]
    keys = [KEYS.key(call) for call in calls]
    assert all(one != other for one, other in itertools.combinations(keys, 2))
