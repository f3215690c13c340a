"""The order of layers: what cannot be meant is refused, and a stack explains itself."""

import re

import pytest

from liter import ContentPolicyError, ContextWindowExceededError, LlmClient, RateLimitedError
from liter._contract import Layer
from liter.middleware import (
    Budget,
    Cache,
    CircuitBreaker,
    Concurrency,
    CostTracking,
    Deployment,
    Fallback,
    Guardrails,
    Hedge,
    Hooks,
    Ledger,
    Limit,
    Mock,
    RateLimit,
    Retry,
    Router,
    Rule,
    SpendLimit,
    Target,
    Tracing,
)
from liter.stores import MemoryStore


def make(name: str) -> Layer:
    """A layer of each kind that has a place in a stack."""
    layers: dict[str, Layer] = {
        "Budget": Budget(SpendLimit(1)),
        "Cache": Cache(),
        "CircuitBreaker": CircuitBreaker(),
        "Concurrency": Concurrency(3),
        "Fallback": Fallback(["openai/gpt-4o", "anthropic/claude-x"]),
        "Guardrails": Guardrails([Rule("secret", action="block")]),
        "Hedge": Hedge(1.0),
        "Ledger": Ledger("spend.db"),
        "Mock": Mock("hi"),
        "RateLimit": RateLimit(Limit(60, "requests")),
        "Retry": Retry(),
        "Router": Router({"fast": [Deployment("openai/gpt-4o")]}),
        "Tracing": Tracing(),
    }
    return layers[name]


@pytest.mark.parametrize(
    ("outside", "inside"),
    [
        ("RateLimit", "Cache"),
        ("RateLimit", "Guardrails"),
        ("Concurrency", "Cache"),
        ("Concurrency", "Guardrails"),
        ("Hedge", "Cache"),
        ("Hedge", "Fallback"),
        ("Hedge", "Retry"),
        ("Retry", "Budget"),
        ("Hedge", "Budget"),
        ("Retry", "Ledger"),
        ("Hedge", "Ledger"),
        ("Budget", "Ledger"),
        ("Retry", "Tracing"),
        ("Hedge", "Tracing"),
        ("CircuitBreaker", "Cache"),
        ("CircuitBreaker", "Fallback"),
        ("CircuitBreaker", "Router"),
        ("Router", "Cache"),
        ("Router", "Fallback"),
        ("Router", "Retry"),
    ],
)
def test_an_order_that_cannot_be_meant_is_refused(outside: str, inside: str) -> None:
    """The reason is told, and the order that would be right; that one is accepted."""
    right = re.escape(f"Right is [{inside}, ..., {outside}]")
    with pytest.raises(ValueError, match=f"{inside} is inside {outside}: .*{right}"):
        LlmClient(api_key="sk", middleware=[make(outside), make(inside)])
    with pytest.raises(ValueError, match=right):
        LlmClient(api_key="sk", middleware=[make(outside), lambda call, call_next: call_next(call), make(inside)])
    LlmClient(api_key="sk", middleware=[make(inside), make(outside)])


def test_two_retries_multiply() -> None:
    """Two retry layers are refused, with what they would come to."""
    with pytest.raises(ValueError, match=r"2 Retry layers multiply, to 4 x 3 attempts"):
        LlmClient(api_key="sk", middleware=[Retry(), Concurrency(1), Retry(max_retries=2)])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            Router({"fast": [Deployment("openai/gpt-4o"), Deployment("antropic/claude-x")]}),
            r"Router, pools\['fast'\]: ",
        ),
        (Router({"antropic/claude-x": [Deployment("openai/gpt-4o")]}), r"Router, pools\['antropic/claude-x'\]: "),
        (Fallback(["openai/gpt-4o", "antropic/claude-x"]), "Fallback, models: "),
    ],
    ids=["deployment", "pool", "fallback"],
)
def test_unknown_models_are_refused(layer: Layer, message: str) -> None:
    """A model of a provider that there is not is told when the client is made, with what was probably meant."""
    with pytest.raises(ValueError, match=message + ".*did you mean 'anthropic/claude-x'"):
        LlmClient(api_key="sk", middleware=[layer])


def test_a_fallback_may_go_to_a_pool() -> None:
    """A pool of a router further in is a model, and so is a name that its provider alone knows."""
    for name in ("fast", "production/fast", "openai/fast"):
        pool = Router({name: [Deployment("openai/gpt-4o"), Deployment("a-name-of-ours")]})
        LlmClient(api_key="sk", middleware=[Fallback([name]), Retry(), pool])


def test_one_bill_is_written() -> None:
    """Two layers that price the same attempts are refused."""
    with pytest.raises(ValueError, match="two CostTracking layers would write two bills over each other: keep one"):
        LlmClient(api_key="sk", middleware=[CostTracking(), Concurrency(1), CostTracking()])


def test_two_hedges_multiply() -> None:
    """Two layers that race attempts are refused."""
    with pytest.raises(ValueError, match="two Hedge layers multiply"):
        LlmClient(api_key="sk", middleware=[Hedge(), Concurrency(1), Hedge()])


def test_two_fallbacks_multiply() -> None:
    """Two lists of models are refused: each model of one would lead to all of the other."""
    with pytest.raises(ValueError, match=r"two Fallback layers multiply.*: keep one, with the models of both"):
        LlmClient(api_key="sk", middleware=[Fallback(["openai/a"]), Retry(), Fallback(["openai/b"])])


def test_a_pool_is_in_one_router() -> None:
    """Of two routers with one pool the inner one would be idle; with different pools they go together."""
    one, same, other = (
        Router({name: [Deployment(f"openai/{model}")]}) for name, model in (("fast", "a"), ("fast", "b"), ("slow", "c"))
    )
    with pytest.raises(ValueError, match="two Router layers have a pool 'fast', and the inner one would get no calls"):
        LlmClient(api_key="sk", middleware=[one, other, same])
    LlmClient(api_key="sk", middleware=[Retry(), one, other])


def seen(*_: object) -> None:
    """A hook of the application's."""


def test_nothing_is_done_twice() -> None:
    """The same layer twice, and hooks that overlap in a function, are refused; functions at other turns are not."""
    cache = Cache()
    with pytest.raises(ValueError, match=r"Cache\(.*\) is there twice"):
        LlmClient(api_key="sk", middleware=[cache, Retry(), cache])
    with pytest.raises(ValueError, match="two Hooks have seen as on_error"):
        LlmClient(api_key="sk", middleware=[Hooks(on_error=seen), Retry(), Hooks(on_end=seen, on_error=seen)])
    LlmClient(api_key="sk", middleware=[Hooks(on_error=seen), Hooks(on_end=seen), Cache(), Cache()])


def test_one_tracing_counts_each_call() -> None:
    """Two would count it twice, unless the outer one makes spans of routes alone; and that one needs another inside."""
    route, fallback = Tracing(route=True), make("Fallback")
    for wrong, reason in (
        ([Tracing(), fallback, Tracing()], "two Tracing layers would count each call twice"),
        ([route, fallback, Retry()], "there is none"),
    ):
        with pytest.raises(ValueError, match=reason):
            LlmClient(api_key="sk", middleware=wrong)
    LlmClient(api_key="sk", middleware=[route, fallback, Tracing(), Retry()])
    # What holds them together is also where their bill is.
    LlmClient(api_key="sk", middleware=[route, CostTracking(), fallback, Tracing(), Retry()])
    with pytest.raises(ValueError, match="the call's span would end before its bill is known"):
        LlmClient(api_key="sk", middleware=[CostTracking(), route, fallback, Tracing(), Retry()])


def test_nothing_is_inside_a_mock() -> None:
    """A layer that could never be reached is a mistake."""
    with pytest.raises(ValueError, match="nothing inside Mock is ever reached"):
        LlmClient(api_key="sk", middleware=[Mock("hi"), Retry()])
    LlmClient(api_key="sk", middleware=[Retry(), Mock("hi")])
    LlmClient(api_key="sk", middleware=[Mock(lambda call: None), Retry()])


def test_explain_prints_limits() -> None:
    """The limits are told, and for whom; numbers stand below each other."""
    layers = [
        *(Guardrails([Rule(str(number), action="redact")]) for number in range(9)),
        RateLimit(Limit(500, "requests"), Limit(2_000_000, "tokens", per="day", by=("tag:tenant",))),
    ]
    lines = LlmClient(api_key="sk", middleware=layers).explain().splitlines()
    assert lines[0] == " 1. calls     Guardrails([0], window=64)"
    assert lines[9].startswith(
        "10. calls     RateLimit(500 requests per minute, 2,000,000 tokens per day by tag:tenant,"
    )
    assert lines[10] == "11. calls     Exchange()"


def test_explain_prints_where_calls_go() -> None:
    """Models to fall back to are told with what leads there and what is different there, deployments with weights."""
    fallback = Fallback(
        [
            Target("openai/gpt-4.1", when=ContextWindowExceededError),
            Target("fast", changes={"temperature": 0.0}, when=(ContentPolicyError, RateLimitedError)),
            Target("openai/gpt-5", when=lambda error: error.retryable),
            "anthropic/claude-x",
        ],
        share=0.7,
        mid_stream="restart",
    )
    deployments = [
        Deployment("openai/a", weight=2),
        Deployment("openai/b", base_url="https://b.example/v1", api_key="sk-b"),
    ]
    router = Router({"fast": deployments}, sticky="user", store=MemoryStore())
    assert LlmClient(api_key="sk", middleware=[fallback, Retry(), router]).explain() == (
        "1. calls     Fallback(openai/gpt-4.1 when ContextWindowExceededError, fast when ContentPolicyError or "
        "RateLimitedError with temperature=0.0, openai/gpt-5 when a function, anthropic/claude-x, share=0.7, "
        "mid_stream='restart')\n"
        "2. attempts  Retry(max_retries=3, initial=0.5, cap=8.0)\n"
        "3. attempts  Router({'fast': [openai/a x 2, openai/b at https://b.example/v1]}, strategy='weighted', "
        "sticky='user', store=MemoryStore())\n"
        "4. attempts  Exchange()"
    )


def test_explain_prints_the_plan() -> None:
    """Layers are listed outermost first, with their settings and with what they see."""

    def audit(call: object, call_next: object) -> object:
        raise NotImplementedError

    client = LlmClient(api_key="sk", middleware=[audit, Retry(max_retries=2), Concurrency(5)])
    assert client.explain() == (
        "1. calls     audit\n"
        f"2. calls     {Retry(max_retries=2)!r}\n"
        f"3. attempts  {Concurrency(5)!r}\n"
        "4. attempts  Exchange()"
    )
