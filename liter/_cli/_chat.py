"""``liter chat``: one question to a model, the answer as it arrives."""

import os
import sys
from functools import partial
from typing import TextIO

import anyio
import msgspec

from .._client import LlmClient
from .._contract import Attempt
from ..types import ChatCompletionRequest, ChatCompletionResponse, SystemMessage, Usage, UserMessage
from ._run import CommandError, UsageError, run
from ._terminal import colourful, make_printable

_DIM, _PLAIN = "\x1b[2m", "\x1b[22m"

# A model's text may hold escape sequences, and a terminal would obey them.
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


class ChatOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``liter chat`` was asked; see its help."""

    prompt: str | None
    model: str
    backend: str
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    timeout: float = 60.0
    stream: bool = True
    json: bool = False


def chat(options: ChatOptions) -> int:
    """Ask, print, and return the exit code."""
    make_printable(sys.stdout)
    return run(partial(_chat, options), options.backend)


async def _chat(options: ChatOptions) -> None:
    # Before the loop has anything to do: reading a pipe may block it.
    prompt = _prompt(options.prompt)
    try:
        request = ChatCompletionRequest(
            model=options.model,
            messages=[
                *([SystemMessage(content=options.system)] if options.system else []),
                UserMessage(content=prompt),
            ],
            max_completion_tokens=options.max_tokens,
            temperature=options.temperature,
        )
        client = LlmClient(timeout=options.timeout)
    except ValueError as error:
        raise UsageError(str(error)) from error
    began = anyio.current_time()
    async with client:
        response = await _ask(client, request, options)
    report = _report(response, anyio.current_time() - began)
    print(_dimmed(report, sys.stderr), file=sys.stderr)


def _prompt(given: str | None) -> str:
    if given not in (None, "-"):
        return given or ""
    if given is None and sys.stdin.isatty():
        raise UsageError("what is the question? Give it as PROMPT, or send it to standard input")
    return sys.stdin.read()
