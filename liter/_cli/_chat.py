"""``liter chat``: one question to a model, its answer as it arrives.

The answer alone goes to standard output. What the model thought, and a line on tokens and time, go to standard error.
"""

import os
import sys
from functools import partial
from typing import TextIO

import anyio
import msgspec

from .._client import LlmClient
from .._stream import ChatStream
from ..middleware import Retry
from ..types import ChatCompletionRequest, ChatCompletionResponse, SystemMessage, UserMessage
from ._run import CommandError, UsageError, conclude, run
from ._terminal import colourful, make_printable

_DIM, _NORMAL = "\x1b[2m", "\x1b[22m"

# A model's text may hold escape sequences, and a terminal would obey them.
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


class ChatOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``liter chat`` was asked; see its help."""

    prompt: str | None
    model: str
    system: str | None
    max_tokens: int | None
    temperature: float | None
    reasoning_effort: str | None
    base_url: str | None
    api_key_env: str | None
    timeout: float
    stream: bool
    json: bool
    backend: str


def chat(options: ChatOptions) -> int:
    """Ask, print, and return the exit code."""
    make_printable(sys.stdout)
    make_printable(sys.stderr)
    return conclude(partial(_chat, options))


def _chat(options: ChatOptions) -> None:
    # Outside of the event loop, which would keep Ctrl-C from a read that blocks.
    prompt = _prompt(options.prompt)
    try:
        messages = [UserMessage(content=prompt)]
        request = ChatCompletionRequest(
            model=options.model,
            messages=[SystemMessage(content=options.system), *messages] if options.system else messages,
            max_completion_tokens=options.max_tokens,
            temperature=options.temperature,
            reasoning_effort=options.reasoning_effort,
        )
        run(partial(_ask, request, options), options.backend)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _prompt(given: str | None) -> str:
    if given is None and sys.stdin.isatty():
        raise UsageError("what is the question? Give it as PROMPT, or send it to standard input")
    prompt = sys.stdin.read() if given in (None, "-") else given
    if not prompt or prompt.isspace():
        raise UsageError("the question is empty")
    return prompt


async def _ask(request: ChatCompletionRequest, options: ChatOptions) -> None:
    began = anyio.current_time()
    api_key = None
    if options.api_key_env is not None:
        api_key = os.environ.get(options.api_key_env)
        if not api_key:
            raise CommandError(f"--api-key-env: the environment variable {options.api_key_env} is not set")
    # The command shows no cost, so it need not warn of one that is unknown.
    async with LlmClient(timeout=options.timeout, middleware=[Retry()]) as client:
        if options.stream and not options.json:
            async with await client.chat_stream(request, base_url=options.base_url, api_key=api_key) as stream:
                await _print_stream(stream)
            response = stream.response()
        else:
            response = await client.chat(request, base_url=options.base_url, api_key=api_key)
            if options.json:
                print(msgspec.json.encode(response).decode())
            else:
                _write(_reasoning(response), sys.stderr, dim=True)
                _write(response.text + "\n", sys.stdout)
    _write(_report(response, anyio.current_time() - began) + "\n", sys.stderr, dim=True)


async def _print_stream(stream: ChatStream) -> None:
    """Print a stream as it arrives. It ends its line, however it ends."""
    last, where = "\n", sys.stdout
    try:
        async for chunk in stream:
            for choice in chunk.choices[:1]:
                for text, target in ((choice.delta.reasoning_content, sys.stderr), (choice.delta.content, sys.stdout)):
                    if not text:
                        continue
                    if target is not where and last != "\n":
                        _write("\n", where)
                    _write(text, target, dim=target is sys.stderr)
                    last, where = text[-1], target
    finally:
        if last != "\n":
            _write("\n", where)


def _reasoning(response: ChatCompletionResponse) -> str:
    reasoning = response.choices[0].message.reasoning_content if response.choices else None
    return f"{reasoning}\n" if reasoning else ""


def _report(response: ChatCompletionResponse, seconds: float) -> str:
    usage = response.usage
    attempts = len(response.attempts)
    facts = [
        response.model,
        (response.choices[0].finish_reason if response.choices else None) or "no finish reason",
        "tokens unknown" if usage is None else f"{usage.prompt_tokens} + {usage.completion_tokens} tokens",
        f"{seconds:.1f} s",
        f"{attempts} attempts" if attempts > 1 else "",
        response.request_id or "",
    ]
    return f"[{', '.join(fact for fact in facts if fact)}]"


def _write(text: str, stream: TextIO, *, dim: bool = False) -> None:
    if stream.isatty():
        text = text.translate(_CONTROLS)
    if dim and colourful(stream):
        text = f"{_DIM}{text}{_NORMAL}" if text else ""
    stream.write(text)
    stream.flush()
