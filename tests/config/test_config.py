"""A client made of a file: every key has its effect, and what nobody reads is refused."""

from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from liter import LlmClient, LlmError, create_client, create_client_from_json
from liter._config import find_config, read_config
from liter._config._build import CLIENT_KEYS, build
from liter._config._layers import layer_kinds
from liter.stores import MemoryStore, RedisStore, SqliteStore


def quiet(*arguments: object, **keywords: object) -> None:
    """Stands for a function of the user's."""


async def embed(text: str) -> list[float]:
    """Stands for a call of an embedding model."""
    return [1.0]


@asynccontextmanager
async def own_layer(call, call_next):
    """Stands for a layer of the user's."""
    async with call_next(call) as reply:
        yield reply


class OwnLayer:
    """Stands for a layer class of the user's."""

    def __init__(self, *, limit: int) -> None:
        self.limit = limit

    def __call__(self, call, call_next):
        """Pass on."""
        return call_next(call)


HERE = "tests.config.test_config" if __name__.startswith("tests") else __name__
QUIET = f"{HERE}:quiet"


def built(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None):
    """What a file's text means."""
    path = tmp_path / "liter.toml"
    path.write_text(text)
    return build(read_config(path), where="liter.toml", folder=tmp_path, environ=environ or {})


def layer(tmp_path: Path, kind: str, settings: str) -> object:
    """The layer that a table makes."""
    text = f'[stores.main]\nurl = "memory:"\nmax_bytes = 12345\n[[layers]]\ntype = "{kind}"\n{settings}'
    (made,) = built(tmp_path, text).options["middleware"]
    return made


# What each layer needs, and for each key a value that is not the default.
NEEDED = {
    "Concurrency": "limit = 3",
    "Fallback": 'models = ["openai/b"]',
    "Guardrails": 'rules = [{ find = "secret", action = "block" }]',
    "Ledger": 'store = "a.db"',
    "Mock": 'response = "a"',
    "Router": 'pools = { fast = ["openai/a"] }',
    "Timeout": "timeout = 5",
    "Budget": "limits = [{ amount = 1 }]",
    "RateLimit": 'limits = [{ amount = 5, unit = "requests" }]',
    "Hooks": f'on_request = "{QUIET}"',
}
SAMPLES: Mapping[str, Mapping[str, str]] = {
    "Budget": {
        "limits": (
            '[{ amount = 2.5, per = "day", by = ["model"], only = { provider = "openai" }, time_zone = "Europe/Rome" }]'
        ),
        "mode": '"estimate"', "image_tokens": "7", "output_tokens": "9", "name": '"other"', "lease": "120.5",
        "thresholds": "[0.25]", "unknown": '{ input = "1", output = "2" }', "bound": f'"{QUIET}"',
        "on_threshold": f'"{QUIET}"', "store": '"main"', "on_store_error": '"open"',
    },
    "Cache": {
        "ttl": "7.5", "tags": '["user"]', "ignore": '["user"]', "ignore_headers": '["x-a"]', "share_keys": "true",
        "replay": '"timed"', "max_bytes": "77", "semantic": f'{{ embed = "{HERE}:embed", threshold = 0.5 }}',
        "store": '"main"', "on_store_error": '"closed"',
    },
    "CircuitBreaker": {
        "policy": "{ error_rate = 0.25, probes = 2 }", "max_circuits": "7", "store": '"main"',
        "on_store_error": '"closed"',
    },
    "Concurrency": {
        "limit": "4", "max_waiting": "2", "max_wait": "1.5", "adaptive": "true",
        "min_limit": "2\nadaptive = true", "max_limit": "9\nadaptive = true", "max_latency": "2.5\nadaptive = true",
    },
    "CostTracking": {},
    "Fallback": {
        "models": '[{ model = "openai/c", share = 0.25, when = "RateLimitedError" }, "openai/d"]',
        "when": '["ServerError", "RateLimitedError"]', "share": "0.25", "mid_stream": '"restart"',
    },
    "Guardrails": {"rules": '[{ find = "other", action = "redact", on = "input" }]', "window": "32"},
    "Hedge": {"delay": "2.5", "max_attempts": "3", "max_extra": "0.5"},
    "Hooks": dict.fromkeys(("on_request", "on_retry", "on_response", "on_chunk", "on_error", "on_end"), f'"{QUIET}"'),
    "Ledger": {"store": '"b.db"', "wait": "false", "on_store_error": '"closed"'},
    "Mock": {"response": '"b"'},
    "RateLimit": {
        "limits": '[{ amount = 6, unit = "tokens", per = "day", by = ["model"], burst = 2.5 }]', "adaptive": "true",
        "on_limit": '"refuse"', "estimate": f'"{QUIET}"', "store": '"main"', "on_store_error": '"closed"',
    },
    "Retry": {"max_retries": "7", "initial": "0.25", "cap": "9.5", "budget": "{ ratio = 0.5 }"},
    "Router": {
        "pools": '{ fast = [{ model = "openai/b", weight = 2.0 }, "openai/c"] }', "strategy": '"latency"',
        "sticky": '"user"', "circuit": "{ min_calls = 3 }", "store": '"main"', "on_store_error": '"closed"',
    },
    "Timeout": {"timeout": "{ total = 7.5, connect = 2 }"},
    "Tracing": {
        "semconv": '"latest"', "capture_content": '"span"', "details_event": "true", "propagate": '"off"',
        "attempt_spans": "false", "cache_write_key": '"cache_creation"', "cost_conventions": '["usage_cost"]',
        "tags": '["tenant"]', "route": "true", "redact": f'"{QUIET}"',
    },
}  # fmt: skip


def state(value: object, depth: int = 0) -> object:
    """All that can be seen of an object, to tell two apart."""
    if depth > 4 or isinstance(value, str | int | float | bytes | type(None)):
        return value
    if isinstance(value, Mapping):
        return {key: state(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [state(inner, depth + 1) for inner in value]
    if callable(value) and hasattr(value, "__qualname__"):
        return value.__qualname__
    names = [*getattr(type(value), "__struct_fields__", ()), *getattr(value, "__dict__", {})]
    names += [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if isinstance(name, str)]
    return type(value).__name__, {
        name: state(getattr(value, name), depth + 1) for name in names if hasattr(value, name) and name != "_store_id"
    }


def test_every_layer_and_every_key_is_tried() -> None:
    """A key that is added without a sample is found here."""
    assert set(SAMPLES) == set(layer_kinds())
    assert {name: set(kind.settings) for name, kind in layer_kinds().items()} == {
        name: set(samples) for name, samples in SAMPLES.items()
    }


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, keys in SAMPLES.items() for key in keys])
def test_every_key_of_a_layer_has_its_effect(tmp_path: Path, kind: str, key: str) -> None:
    """The layer is another one than without it."""
    needed = NEEDED.get(kind, "")
    given = f"{key} = {SAMPLES[kind][key]}"
    rest = "" if needed.startswith(f"{key} =") else needed
    without = needed
    if "\n" in given:
        without = f"{needed}\n{given.partition(chr(10))[2]}"
    if kind == "Hooks":
        without = f'on_end = "{QUIET}"' if key != "on_end" else f'on_error = "{QUIET}"'
        rest = ""
    assert state(layer(tmp_path, kind, f"{rest}\n{given}")) != state(layer(tmp_path, kind, without))


CLIENT_SAMPLES: Mapping[str, tuple[str, Callable[[LlmClient], object], object]] = {
    "base_url": ('"https://proxy.example/v1"', lambda client: "proxy.example" in repr(client), True),
    "model_hint": ('"anthropic"', lambda client: client.home, "anthropic"),
    "max_retries": ("7", lambda client: "max_retries=7" in repr(client), True),
    "timeout": ("{ total = 9 }", lambda client: client._timeouts[False].total, 9),
    "unsupported": ('"drop"', lambda client: client._unsupported, "drop"),
    "fetch_urls": ('"public"', lambda client: client._fetcher is not None, True),
    "http2": ("true", lambda client: client._transport._dialler.http2, True),
    "proxy": ('"http://proxy.example:8080"', lambda client: client._transport._dialler._proxy is not None, True),
    "trust_environment": ("false", lambda client: client._transport._dialler._trust_environment, False),
    "max_connections": ("7", lambda client: client._transport._max_connections, 7),
    "keepalive_expiry": ("7.5", lambda client: client._transport._keepalive_expiry, 7.5),
    "max_response_bytes": ("77", lambda client: client._stack.innermost.max_response_bytes, 77),
    "max_event_bytes": ("77", lambda client: client._stack.innermost.max_event_bytes, 77),
}


@pytest.mark.parametrize("key", CLIENT_KEYS)
def test_every_key_of_the_client_has_its_effect(tmp_path: Path, key: str) -> None:
    """It arrives where it is used."""
    text, seen, expected = CLIENT_SAMPLES[key]
    client = LlmClient(api_key="sk-any", **built(tmp_path, f"[client]\n{key} = {text}").options)
    assert seen(client) == expected


def test_keys_come_from_variables_and_never_from_the_file(tmp_path: Path) -> None:
    """One or several; what is not set is told, and what looks like a key is refused without being shown."""
    text = '[keys]\nopenai = "OPENAI_API_KEY"\nanthropic = ["KEY_A", "KEY_B"]\ngroq = "GROQ_KEY"\n'
    made = built(tmp_path, text, {"OPENAI_API_KEY": "sk-one", "KEY_A": "sk-a", "KEY_B": "sk-b"})
    assert made.options["api_keys"]["openai"].reveal() == "sk-one"
    assert [key.reveal() for key in made.options["api_keys"]["anthropic"]] == ["sk-a", "sk-b"]
    assert made.keys["groq"] == {"GROQ_KEY": False}
    with pytest.raises(ValueError, match="keys stay out of files") as caught:
        built(tmp_path, '[keys]\nopenai = "sk-live-abc"')
    assert "abc" not in str(caught.value)


def test_providers_settings_stores_and_prices(tmp_path: Path) -> None:
    """Sections become what the client is made with."""
    (tmp_path / "prices.toml").write_text('[prices."acme/m"]\ninput = 1.25\noutput = 10\n')
    made = built(
        tmp_path,
        """
        [client]
        model_hint = "acme"
        [[providers]]
        name = "acme"
        base_url = "https://acme.example/v1"
        model_prefixes = ["acme-"]
        [provider_settings.azure]
        resource = "mine"
        [stores.memory]
        url = "memory:"
        max_bytes = 1000
        [stores.disk]
        url = "sqlite:state.db"
        timeout = 2
        [stores.shared]
        url_variable = "REDIS"
        prefix = "app:"
        [prices]
        file = "prices.toml"
        [[layers]]
        type = "CostTracking"
        """,
        {"REDIS": "redis://:hush@cache.example/1"},
    )
    assert {name: type(store) for name, store in made.stores.items()} == {
        "memory": MemoryStore,
        "disk": SqliteStore,
        "shared": RedisStore,
    }
    assert str(tmp_path / "state.db") in repr(made.stores["disk"])
    assert "hush" not in repr(made.stores["shared"])
    client = LlmClient(**made.options)
    assert client.home == "acme"
    from liter.types import Usage

    usage = Usage(prompt_tokens=1_000_000, total_tokens=1_000_000)
    assert float(client.price(model="acme/m", usage=usage)) == 1.25
    assert client.price(model="openai/gpt-4o", usage=usage) is not None
    alone = built(tmp_path, '[prices]\nfile = "prices.toml"\nalone = true').options["prices"]
    assert alone.price("openai", "gpt-4o", usage) is None


def test_layers_of_ones_own(tmp_path: Path) -> None:
    """Functions as they are, classes with their settings."""
    assert layer(tmp_path, f"{HERE}:own_layer", "") is own_layer
    made = layer(tmp_path, f"{HERE}:OwnLayer", "limit = 3")
    assert (type(made), made.limit) == (OwnLayer, 3)
    with pytest.raises(ValueError, match=r"layers\[0\] .*own_layer.* has no key 'limit'"):
        layer(tmp_path, f"{HERE}:own_layer", "limit = 3")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[cleint]", "liter.toml has no key 'cleint': did you mean 'client'"),
        ("[client]\ntiemout = 5", r"\[client\] has no key 'tiemout': did you mean 'timeout'"),
        ("client = 5", r"\[client\] must be a table"),
        ('[[layers]]\ntype = "Retyr"', r"layers\[0\].type: there is no layer 'Retyr': did you mean 'Retry'"),
        ("[[layers]]\nmax_retries = 5", r"layers\[0\].type must be a text"),
        (
            '[[layers]]\ntype = "Retry"\nmax_retires = 5',
            r"\(Retry\) has no key 'max_retires': did you mean 'max_retries'",
        ),
        ('[[layers]]\ntype = "Retry"\nmax_retries = -1', r"layers\[0\] \(Retry\): max_retries must be"),
        ('[[layers]]\ntype = "Cache"\nstore = "shared"', r"there is no store 'shared'; \[stores\] has none"),
        ('[[layers]]\ntype = "Hooks"\non_end = "print"', "must name a function as 'package.module:name'"),
        ('[[layers]]\ntype = "Hooks"\non_end = "os:nothing"', "cannot be imported"),
        ('[[layers]]\ntype = "Fallback"\nmodels = ["a"]\nwhen = "Eror"', "'Eror' is no error of liter's"),
        ('[[layers]]\ntype = "RateLimit"\nlimits = [{ amonut = 1 }]', r"limits\[0\] has no key 'amonut'"),
        ('[stores.a]\nurl = "mysql://u:pass@h"', r"\[stores\].a.url must be 'memory:', 'sqlite:PATH' or"),
        ('[stores.a]\nurl = "memory:"\nprefix = "x"', "has no key 'prefix'"),
        ('[stores.a]\nurl_variable = "NOT_THERE"', "NOT_THERE is not set"),
        ('[prices]\nfile = "none.toml"', r"\[prices\].file: .*none.toml"),
        ('[[providers]]\nname = "a"', r"providers\[0\]: .*base_url"),
        ('[keys]\nopanai = "NOT_THERE"', r"\[keys\]: unknown provider 'opanai': did you mean 'openai'"),
        ("[keys]\nopenai = 5", "must name an environment variable"),
    ],
)
def test_what_nobody_reads_or_makes_no_sense_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    """And with the nearest right name; passwords are not shown."""
    with pytest.raises(ValueError, match=told) as caught:
        built(tmp_path, text)
    assert "pass@" not in str(caught.value)


def test_a_file_is_found_by_walking_up(tmp_path: Path) -> None:
    """From the folder given, to the root."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"there is no liter\.toml in .* or above it"):
        find_config(inner)
    (tmp_path / "liter.toml").write_text('[client]\nmodel_hint = "groq"\n')
    assert find_config(inner) == tmp_path / "liter.toml"
    client = LlmClient.from_config(tmp_path / "liter.toml", max_retries=0)
    assert (client.home, "max_retries=0" in repr(client)) == ("groq", True)
    (tmp_path / "liter.toml").write_text("not toml")
    with pytest.raises(ValueError, match=r"liter\.toml: "):
        LlmClient.from_config(tmp_path / "liter.toml")


def test_a_client_of_five_arguments() -> None:
    """By position or name, and as JSON."""
    client = create_client("sk-any", "https://proxy.example/v1", 7, 2, "anthropic")
    assert (client.home, client._timeouts[False].total) == ("anthropic", 7)
    assert "max_retries=2" in repr(client)
    same = create_client_from_json(
        '{"api_key": "sk-any", "base_url": "https://proxy.example/v1", "timeout_secs": 7, "max_retries": 2,'
        ' "model_hint": "anthropic"}'
    )
    assert repr(same) == repr(client)
    whole = create_client_from_json('{"client": {"model_hint": "groq"}, "layers": [{"type": "Retry"}]}')
    assert whole.home == "groq"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON"),
        ("[]", "must be a table"),
        ('{"model_hint": "openai"}', "lacks 'api_key'"),
        ('{"api_key": "sk", "timeout": 5}', "has no key 'timeout': did you mean 'timeout_secs'"),
        ('{"api_key": "sk", "timeout_secs": -1}', "timeout must be a positive number"),
    ],
)
def test_json_that_makes_no_sense_is_told(text: str, told: str) -> None:
    """As a file's mistakes are."""
    with pytest.raises(ValueError, match=told):
        create_client_from_json(text)


def test_errors_of_the_tree_can_be_named(tmp_path: Path) -> None:
    """All of them, by their names."""

    def tree(kind: type[LlmError]) -> set[str]:
        return {kind.__name__}.union(*map(tree, kind.__subclasses__()))

    names = ", ".join(f'"{name}"' for name in sorted(tree(LlmError)) if name[0] != "_")
    layer(tmp_path, "Fallback", f'models = ["openai/b"]\nwhen = [{names}]')
