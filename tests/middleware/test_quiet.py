"""The quick look of guardrails: where it says that no rule matches, none does."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from liter.middleware import Rule
from liter.middleware._guarded_value import SCHEMAS, GuardedValue
from liter.middleware._quiet import is_quiet
from liter.middleware._rule_set import RuleSet
from liter.types import (
    AssistantMessage,
    Audio,
    ChatCompletionRequest,
    ChatCompletionResponse,
    Choice,
    EmbeddingRequest,
    FunctionCall,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

RULES = RuleSet(
    [Rule("^secret", action="redact"), Rule(lambda text: [(0, 3)] if text[:3] == "key" else [], action="redact")]
)

texts = st.sampled_from(["", "hello", "secret", "a secret", "key", "monkey", '"secret"'])
some = texts.filter(bool)
maybe = st.none() | texts
calls = st.lists(
    st.builds(
        lambda text: ToolCall(id="1", function=FunctionCall(name="f", arguments=f'{{"a": "{text}"}}')),
        st.sampled_from(["x", "secret"]),
    ),
    max_size=1,
)
assistants = st.builds(
    AssistantMessage,
    content=maybe,
    refusal=maybe,
    reasoning_content=maybe,
    tool_calls=st.none() | calls,
    audio=st.none() | st.builds(Audio, transcript=maybe),
    thinking_blocks=st.none() | st.builds(lambda text: [{"type": "thinking", "thinking": text}], texts),
)
messages = st.one_of(
    st.builds(SystemMessage, content=texts),
    st.builds(UserMessage, content=texts | st.lists(st.builds(TextPart, text=texts), max_size=2)),
    st.builds(ToolMessage, content=texts, tool_call_id=st.just("1")),
    assistants,
)
requests = st.builds(
    ChatCompletionRequest,
    model=st.just("secret"),
    messages=st.lists(messages, min_size=1, max_size=3),
    metadata=st.none() | st.dictionaries(st.sampled_from(["content", "user"]), texts, max_size=1),
    extra_body=st.none() | st.builds(lambda text: {"prompt": [text]}, texts),
)
embeddings = st.builds(EmbeddingRequest, model=st.just("secret"), input=some | st.lists(some, min_size=1, max_size=2))
replies = st.builds(
    ChatCompletionResponse,
    id=st.just("secret"),
    choices=st.lists(st.builds(Choice, message=assistants), max_size=2),
    search_results=st.none() | st.builds(lambda text: [{"title": text}], texts),
)


def closely(thing: msgspec.Struct, *, request: bool) -> tuple[object, int]:
    hits: list[Rule] = []
    guard = GuardedValue(RULES, 64, hits)
    return (guard.request(thing) if request else guard.reply(thing)), len(hits)


@given(requests | embeddings)
def test_a_quiet_request_is_as_the_rules_want_it(request: msgspec.Struct) -> None:
    """Where the quick look finds nothing in a request, the closer one gives the same one, and no rule has matched."""
    if is_quiet(RULES, request, SCHEMAS):
        assert closely(request, request=True) == (request, 0)


@given(replies)
def test_a_quiet_reply_is_as_the_rules_want_it(reply: ChatCompletionResponse) -> None:
    """Where the quick look finds nothing in a reply, the closer one gives the same one, and no rule has matched."""
    if is_quiet(RULES, reply):
        assert closely(reply, request=False) == (reply, 0)


def test_what_is_quiet() -> None:
    """Names, ids and text that no rule matches in are quiet: the closer look is spared."""
    question = ChatCompletionRequest(
        model="secret", messages=[SystemMessage(content="hello"), UserMessage(content=[TextPart(text="hello")])]
    )
    assert is_quiet(RULES, question, SCHEMAS)
    assert is_quiet(RULES, ChatCompletionResponse(id="secret", choices=[Choice(message=AssistantMessage(content="x"))]))
    assert is_quiet(RuleSet([]), ChatCompletionResponse(choices=[Choice(message=AssistantMessage(content="secret"))]))
    assert not is_quiet(RULES, ChatCompletionResponse(choices=[Choice(message=AssistantMessage(content="secret"))]))


def test_what_a_quick_look_says_nothing_of() -> None:
    """What is no struct, has no message where one should be, or is within itself, is left to the closer look."""
    endless: list[object] = []
    endless.append(ChatCompletionResponse(choices=endless))  # type: ignore[arg-type] # as nobody should
    for thing in ("secret", 1, ChatCompletionResponse(choices=[Choice(message=None)]), endless[0]):  # type: ignore[arg-type] # as above
        assert not is_quiet(RULES, thing)
