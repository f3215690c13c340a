"""The providers that are known by name, and the data they are made of."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from liter._http import parse_base_url
from liter.providers import OpenAI, Provider, Unspoken, WireProvider, known_providers
from liter.providers import _entry as registry
from liter.providers._entry import Entry
from liter.providers._registry import PROTOCOLS, provider_of
from liter.providers._wire import family_of
from liter.types import ChatCompletionRequest, RerankRequest

FACTS = Path(__file__).parents[2] / "../shared/facts/providers.json"
KNOWN = known_providers()
ENTRIES = [registry.entry(name) for name in KNOWN]
SPEAKING = [provider for provider in KNOWN.values() if "chat" in provider.operations]

by_name = pytest.mark.parametrize("record", ENTRIES, ids=lambda record: record.name)


def test_names_are_keys_and_cannot_be_changed():
    """Each provider is under its own name, made once, and the mapping is read-only."""
    assert all(provider.name == name for name, provider in KNOWN.items())
    assert len(KNOWN) >= 165
    assert KNOWN["groq"] is known_providers()["groq"]
    assert "nobody" not in KNOWN
    with pytest.raises(KeyError):
        KNOWN["nobody"]
    with pytest.raises(TypeError):
        KNOWN["x"] = KNOWN["openai"]


@by_name
def test_every_record_is_whole(record: Entry):
    """An address that can be taken apart, over TLS or on this machine; each placeholder a setting, and documented."""
    assert record.kind in registry_words("kind"), "a word that the file explains"
    assert record.confidence in ("high", "medium", "low")
    for url in filter(None, [record.base_url, *(path for path in record.paths.values() if "://" in path)]):
        assert (
            url.startswith("https://")
            or "{" in url.split("/")[0]
            or parse_base_url(url).origin.scheme == "https"
            or record.local
        )
        open_settings = set(re.findall(r"{(\w+)}", record.base_url or ""))
        assert open_settings <= record.settings.keys()
    assert record.base_url is not None or record.base_variables or record.name in ("merge-gateway", "nvidia-riva")
    for variable in [*record.key_variables, *record.base_variables, *sum(record.settings.values(), ())]:
        assert re.fullmatch(r"[A-Z0-9][A-Z0-9_]+", variable)
    for decision in record.decisions:
        assert decision.reason.endswith("."), "a sentence"
    known_parameters = set(ChatCompletionRequest.__struct_fields__) | {"dimensions"}
    assert {*record.quirks.renames, *record.quirks.unsupported} <= known_parameters
    assert record.quirks.reasoning_field in (None, "reasoning", "reasoning_content")


def registry_words(field: str) -> set[str]:
    """The values of a field that the data file explains."""
    told = json.loads(Path(registry.__file__).with_name("registry.json").read_text())["fields"][field]
    return {re.sub(r"\s*\(.*?\)", "", word).strip() for word in re.sub(r"\([^)]*\)", "", told).split(",")}


def test_the_file_explains_every_field():
    """The fields that the file explains are those that a record has."""
    told = json.loads(Path(registry.__file__).with_name("registry.json").read_text())["fields"]
    assert told.keys() == set(Entry.__struct_fields__) - {"name"}


def test_names_lead_to_one_provider():
    """An alias or the beginning of a model's name stands for a provider that there is, and is no provider's name."""
    data = registry.load()
    assert set(data.aliases.values()) | set(data.models.values()) <= KNOWN.keys()
    assert not data.aliases.keys() & KNOWN.keys()
    assert registry.canonical("together_ai") == "together"
    assert registry.canonical("nobody") is None
    assert "vertex_ai" in registry.aliases_of("vertex")
    assert "claude-" in registry.models_of("anthropic")


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o", "openai"),
        ("o3-mini", "openai"),
        ("claude-sonnet-4-5", "anthropic"),
        ("gemini-2.5-flash", "gemini"),
        ("mistral-large-latest", "mistral"),
        ("open-mixtral-8x7b", "mistral"),
        ("command-a-03-2025", "cohere"),
        ("grok-4", "xai"),
        ("deepseek-chat", "deepseek"),
        ("accounts/fireworks/models/x", "fireworks"),
        ("llama-3.1-8b", None),
        ("gpt4", None),
        ("", None),
    ],
)
def test_bare_names_tell_their_provider(model: str, provider: str | None):
    """Where a provider's models are named in a way of its own, the beginning of a name is enough."""
    assert registry.provider_of_model(model) == provider


def test_all_the_facts_are_there():
    """Every provider of the collected facts is in the registry, with keys, names, operations and decisions."""
    if not FACTS.is_file():
        pytest.skip(f"no facts at {FACTS}")
    models = registry.load().models
    left_out: set[str] = set()
    for fact in json.loads(FACTS.read_text())["providers"]:
        record = registry.entry(fact["id"])
        assert record.local == fact["local"]
        if fact["auth"]["kind"] not in ("sigv4", "google"):
            assert set(fact["env"]) <= set(record.key_variables)
        assert {*fact["endpoints"]} <= {*record.operations}
        assert len(record.decisions) >= len(fact.get("disputed", ()))
        for alias in fact.get("aliases", ()):
            assert "/" in alias or registry.canonical(alias) is not None
        for prefix in fact["model_prefixes"]:
            if prefix.endswith("/") and prefix.count("/") == 1:
                assert registry.canonical(prefix[:-1]) == fact["id"]
            elif models.get(prefix) != fact["id"]:
                left_out.add(prefix)
    # Names that others use, too.
    assert left_out == {"abab", "embed-", "gemma-", "rerank-"}


def test_few_protocols_are_not_spoken():
    """Who speaks a protocol without a codec is listed, and offers nothing."""
    for name, provider in KNOWN.items():
        spoken = registry.entry(name).protocol in PROTOCOLS
        assert isinstance(provider, Unspoken) != spoken
        assert spoken or not provider.operations


@pytest.mark.parametrize("provider", SPEAKING, ids=lambda provider: provider.name)
def test_every_provider_can_make_a_chat_request(provider: Provider, call_of):
    """It goes to the provider's own address, with the key where its record says."""
    base_url = re.sub(r"{\w+}", "x", provider.base_url) or "https://x.example/v1"
    if not base_url.startswith("http"):
        base_url = f"https://{base_url}"
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "Hi"}])
    call = call_of(request, provider=provider.name, model="m", base_url=base_url)
    made = provider.encode(call)
    assert made.origin == parse_base_url(base_url).origin
    assert made.path.startswith("/")
    holding = [name for name, value in made.headers if b"sk-test" in value]
    record = registry.entry(provider.name)
    assert holding == [
        record.auth.header.lower().encode() if record.auth.kind in ("header", "azure") else b"authorization"
    ]
    assert b"sk-test" not in made.body
    assert "sk-test" not in made.path


def test_habits_come_from_the_record():
    """What differs from the protocol is told by the data alone."""
    groq = KNOWN["groq"]
    assert isinstance(groq, OpenAI)
    assert (groq.unsupported, groq.developer_role) == (("logprobs", "top_logprobs", "logit_bias", "n"), False)
    assert KNOWN["openai"].developer_role
    assert KNOWN["parasail"].body == {"store": False}
    assert KNOWN["moonshot"].renames == {"max_completion_tokens": "max_tokens"}
    assert KNOWN["ollama"].key_optional
    assert not KNOWN["openai"].key_optional


def test_families_name_operations():
    """What a provider offers is told in families of operations."""
    record = msgspec.structs.replace(registry.entry("openai"), operations=("chat", "embeddings", "models"))
    assert provider_of(record).operations == {"chat", "count_tokens", "embed", "list_models"}


@pytest.mark.parametrize(
    ("operation", "family"),
    [
        ("chat", "chat"),
        ("list_models", "models"),
        ("embed", "embeddings"),
        ("image_generate", "images"),
        ("list_files", "files"),
        ("cancel_batch", "batches"),
        ("speech", "speech"),
    ],
)
def test_operations_belong_to_families(operation: str, family: str):
    """By a name of its own, by a word in it, or the operation is its own family."""
    assert family_of(operation) == family


def test_paths_come_from_the_record(call_of):
    """An operation may be elsewhere; a whole address only while the call goes to the provider's own."""
    deepinfra = KNOWN["deepinfra"]
    assert isinstance(deepinfra, OpenAI)

    def located(base_url: str) -> tuple[str, str]:
        request = RerankRequest(model="a/b", query="q", documents=["d"])
        call = call_of(request, operation="rerank", provider="deepinfra", model="a/b", base_url=base_url)
        return deepinfra.locate(call, "/rerank")

    assert located(deepinfra.base_url) == ("https://api.deepinfra.com/v1/inference/a%2Fb", "")
    assert located("https://gateway.example/v1") == ("https://gateway.example/v1", "/rerank")


@pytest.mark.parametrize(
    ("template", "settings", "address"),
    [
        ("https://{host}/x", {"host": "https://me.example/"}, "https://me.example/x"),
        ("https://{host}/x", {"host": "me.example"}, "https://me.example/x"),
        ("https://{region}.x/{region}/{account}", {"region": "eu"}, "https://eu.x/eu/{account}"),
        ("{url}/v2", {"url": "http://me.example/"}, "http://me.example/v2"),
    ],
)
def test_settings_fill_an_address(template: str, settings: dict[str, str], address: str):
    """Hosts are told with and without a scheme; a placeholder without a setting stays."""
    provider = WireProvider(name="x", base_url=template, key_variables=())
    assert provider.address(settings) == address


def test_every_protocol_has_the_codec_that_it_names() -> None:
    """They are loaded lazily, by name; what the specialists' tables speak is all there."""
    from liter.providers._registry import PROTOCOLS, codec_of
    from liter.providers._specialist import SPECIALISTS, Specialist

    assert {protocol for protocol in PROTOCOLS if codec_of(protocol) is Specialist} == set(SPECIALISTS)
