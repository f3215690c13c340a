"""The first good answer of several models."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, cast

import anyio

from .._errors import LlmError
from ..types import ChatCompletionResponse

if TYPE_CHECKING:
    from .._client import LlmClient


async def race(client: "LlmClient", models: Sequence[str], keywords: dict[str, object]) -> ChatCompletionResponse:
    """Ask all models at once; the others are hung up on when the first has answered."""
    # Its keywords are checked where they are used.
    chat = cast("Callable[..., Awaitable[ChatCompletionResponse]]", client.chat)
    errors: dict[str, LlmError] = {}
    wrong: Exception | None = None
    winner: ChatCompletionResponse | None = None

    async def ask(model: str, tasks: anyio.abc.TaskGroup) -> None:
        nonlocal winner, wrong
        try:
            response = await chat(**{**keywords, "model": model})
        except LlmError as error:
            errors[model] = error
            return
        except Exception as error:  # noqa: BLE001 # raised below as it is, and not in a group
            wrong = error
            tasks.cancel_scope.cancel()
            return
        if winner is None:
            winner = response
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for model in models:
            tasks.start_soon(ask, model, tasks)
    if winner is not None:
        return winner
    if wrong is not None:
        raise wrong
    last = errors[models[-1]]
    last.add_note("all failed: " + "; ".join(f"{model}: {error}" for model, error in errors.items()))
    raise last
