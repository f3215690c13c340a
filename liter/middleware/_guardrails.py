"""Rules on what goes out and what comes back: block, redact or replace."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, Literal, TypeVar, cast

import anyio
import msgspec

from .._contract import Call, Handler
from .._errors import ContentPolicyError, HookRejectedError
from .._reply import Reply
from ..types import ChatCompletionChunk
from ._guarded_chunks import GuardedChunks
from ._guarded_events import Guarded, GuardedCompletions, GuardedDeltas
from ._guarded_value import SCHEMAS, GuardedValue
from ._guardrail_rule import BlockedError, Rule
from ._quiet import is_quiet
from ._rule_set import RuleSet

R = TypeVar("R")


class RuleMatched(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of :class:`Guardrails` matched. It does not say what: listeners write logs.

    :param call: the call, as it was before the rules changed it
    :param rule: the rule
    :param stage: where: ``"input"`` or ``"output"``
    """

    call: Call[object]
    rule: Rule
    stage: Literal["input", "output"]


class Guardrails:
    """Hold requests and replies against rules, whole ones and streams alike.

    Looked at is all text of every operation: messages with their parts, refusals, reasoning, transcripts, what tools
    are called with and what they answer, the provider's own too; prompts, instructions, queries, documents; items of
    responses and the events that tell of them; what engines find, and pages that were read; each of several choices by
    itself. In the arguments of a tool each string and each number is a text by itself, without its escapes, and what
    is left is JSON still. Not looked at: names, ids, addresses, tool definitions and response formats, pictures, sound
    and files, those of batches included.

    All rules see the text as it came. Where matches overlap, all that they cover goes, and what takes its place is that
    of the match that begins first (of those that begin together, of the rule that is given first). What says a
    changed text again goes, too: log probabilities, native content, ``raw``; reasoning details and signed thinking
    blocks are left out rather than changed.

    A stream is held back from where a match may begin, by at most ``window`` characters, so that a match across chunks
    is found before any of it is handed out; the rest follows with the finish reason. An expression that begins with
    plain characters, as ``sk-\\w{20,}``, holds back what looks like them, and else nothing; any other holds back all of
    the window. The window is the longest match that is sure to be found, with what its look-ahead sees. A longer one is
    found where its first ``window`` characters match already, and is held to its end. After a failure what was held
    stays held.

    A blocked request raises :class:`HookRejectedError` before anything further in is entered, so no limit further
    in is consumed. A blocked reply raises :class:`ContentPolicyError`; a stream ends there, and its generation stops
    as its scope closes. Both have the rule's name in ``code``, and are not retryable. What a rule's function
    raises fails that one call, and is raised as it is. Listeners are told :class:`RuleMatched`.

    :param rules: what to look for, and what to do with it
    :param window: how many characters of each text of a stream are held back at most, 1 or more
    :ivar input: those of the rules that are for requests, and ``output``: for replies
    :raises ValueError: no rules, a window below 1, or one that is smaller than a literal text that a rule looks for
    """

    __slots__ = ("input", "output", "rules", "window")

    def __init__(self, rules: Sequence[Rule], *, window: int = 64) -> None:
        given: object = rules  # callers without types
        if isinstance(given, str | Rule) or not isinstance(given, Sequence):
            raise ValueError(f'rules must be a list, such as [Rule("secret", action="block")], not {rules!r}')
        self.rules: tuple[Rule, ...] = tuple(rules)
        self.window: int = window
        if not self.rules:
            raise ValueError('rules must be one or more, such as [Rule("secret", action="block")]')
        for rule in self.rules:
            if not isinstance(rule, Rule):
                raise ValueError(f"rules must be Rule objects, not {rule!r}")
        if not isinstance(window, int) or window < 1:  # pyright: ignore[reportUnnecessaryIsInstance] # as above
            raise ValueError(f"window must be 1 or more characters, not {window!r}")
        self.input: RuleSet = RuleSet([rule for rule in self.rules if rule.on != "output"])
        self.output: RuleSet = RuleSet([rule for rule in self.rules if rule.on != "input"])
        longest = max((len(rule.literal or "") for rule in self.output.rules), default=0)
        if longest > window:
            raise ValueError(
                f"window must be {longest} or more, as a rule looks for a text of that length, not {window!r}"
            )

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Guarded(self, call, call_next)

    async def check_request(self, call: Call[R]) -> Call[R]:
        """Give the call with its request as the rules want it.

        :raises HookRejectedError: a rule blocks it
        """
        hits: list[Rule] = []
        blocked: Rule | None = None
        request = call.request
        try:
            request = GuardedValue(self.input, self.window, hits).request(request)
        except BlockedError as found:
            blocked = found.rule
        if hits:
            await _tell(call, hits, "input")
        if blocked is not None:
            raise HookRejectedError(f"guardrail {blocked.name!r} blocks the request", code=blocked.name)
        return call if request is call.request else msgspec.structs.replace(call, request=request)

    async def check_reply(self, call: Call[R], reply: Reply[R]) -> Reply[R]:
        """Give the reply as the rules want it: a whole one is looked at now, a stream as it comes.

        :raises ContentPolicyError: a rule blocks it
        """
        if reply.streamed:
            return reply.derive(events=_GuardedEvents(self.output, self.window, call, reply))
        hits: list[Rule] = []
        blocked: Rule | None = None
        value: object = reply.value
        try:
            value = GuardedValue(self.output, self.window, hits).reply(value)
        except BlockedError as found:
            blocked = found.rule
        if hits:
            await _tell(call, hits, "output")
        if blocked is not None:
            raise _blocked_reply(blocked)
        if value is reply.value:
            return reply
        # Without the body, which has the text as it came.
        return reply.derive(value=cast("R", value), raw=b"")

    def __repr__(self) -> str:
        return f"Guardrails([{', '.join(rule.name for rule in self.rules)}], window={self.window})"


class _Guarded(Generic[R]):
    __slots__ = ("_call", "_call_next", "_guardrails", "_scope")

    def __init__(self, guardrails: Guardrails, call: Call[R], call_next: Handler) -> None:
        self._guardrails = guardrails
        self._call = call
        self._call_next = call_next

    async def __aenter__(self) -> Reply[R]:
        guardrails, call = self._guardrails, self._call
        if not is_quiet(guardrails.input, call.request, SCHEMAS):
            call = await guardrails.check_request(call)
        self._scope = self._call_next(call)
        reply = await self._scope.__aenter__()
        rules = guardrails.output
        try:
            if not rules.rules or (not reply.streamed and is_quiet(rules, reply.value)):
                return reply
            return await guardrails.check_reply(call, reply)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._scope.__aexit__(kind, error, traceback)


class _GuardedEvents(Generic[R]):
    __slots__ = (
        "_call",
        "_chunks",
        "_ended",
        "_failed",
        "_given",
        "_hits",
        "_next",
        "_others",
        "_passes",
        "_slow",
        "_source",
        "_unguarded",
    )

    def __init__(self, rules: RuleSet, window: int, call: Call[R], source: Reply[R]) -> None:
        self._hits: list[Rule] = []
        self._chunks = GuardedChunks(rules, window, self._hits)
        # For what is no chat; what they give for one event may be several.
        self._others: Guarded | None = None
        if call.operation != "chat":
            kind = GuardedCompletions if call.operation == "completions" else GuardedDeltas
            self._others = kind(rules, window, self._hits)
        self._given: deque[object] = deque()
        # One that came without a wait, and may not be handed out so.
        self._unguarded: object = None
        # Something is given out, or was, in a way that may have to be awaited.
        self._slow = self._others is not None
        self._next = source.next_nowait
        self._passes: Callable[[R], bool] = self._chunks.passes  # type: ignore[assignment] # it tells what is no chunk
        self._call = call
        self._source = source
        self._ended = False
        self._failed = False

    def next_nowait(self) -> R | None:
        """Return the next event, if it is here already and is handed out as it is."""
        if self._slow:
            return None
        event = self._next()
        if event is None or self._passes(event):
            return event
        self._unguarded = event
        self._slow = True
        return None

    async def __anext__(self) -> R:
        while True:
            if self._failed:
                raise anyio.ClosedResourceError
            if self._given:
                given = cast("R", self._given.popleft())
                self._slow = bool(self._given) or self._others is not None
                return given
            self._slow = True
            if self._ended:
                raise StopAsyncIteration
            event: object
            try:
                event, self._unguarded = self._unguarded, None
                if event is None:
                    event = await self._source.__anext__()
            except StopAsyncIteration:
                self._ended = True
                # One that was cancelled has no end to hand out.
                if not self._source.finished:
                    raise
                event = None
            if self._others is not None:
                await self._guard(event)
            elif event is not None and self._passes(cast("R", event)):
                self._slow = False
                return cast("R", event)
            else:
                await self._guard(event)

    async def _guard(self, event: object) -> None:
        blocked: Rule | None = None
        # Until all went well: after a failure no text goes on from where it was.
        self._failed = True
        try:
            self._given.extend(self._guarded(event))
        except BlockedError as found:
            blocked = found.rule
        if self._hits:
            await _tell(self._call, self._hits, "output")
            self._hits.clear()
        if blocked is not None:
            raise _blocked_reply(blocked)
        self._failed = False

    def _guarded(self, event: object) -> Sequence[object]:
        """What is handed out for an event, or, for none, at the end."""
        if self._others is not None:
            return self._others.end() if event is None else self._others.add(event)
        chunk = self._chunks.end() if event is None else self._chunks.add(cast("ChatCompletionChunk", event))
        return () if chunk is None else (chunk,)

    async def aclose(self) -> None:
        """Nothing of its own is open: the source belongs to the next handler's scope."""


def _blocked_reply(rule: Rule) -> ContentPolicyError:
    return ContentPolicyError(f"guardrail {rule.name!r} blocks the reply", code=rule.name)


async def _tell(call: Call[R], hits: Sequence[Rule], stage: Literal["input", "output"]) -> None:
    if call.listeners:
        for rule in hits:
            await call.notify(RuleMatched(call=call, rule=rule, stage=stage))
