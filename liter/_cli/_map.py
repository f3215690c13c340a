"""``liter map``: every request of a batch file, so many at a time, and a file of results.

The output is its own checkpoint: a run that was stopped, by whatever, goes on when it is started again.
"""

import logging
import os
import sys
from functools import partial
from pathlib import Path

import msgspec

from .._client import DEFAULT_MAX_RETRIES, LlmClient
from .._config import find_config
from ._map_input import BatchInput, Remaining
from ._map_output import BatchOutput
from ._run import CommandError, UsageError, conclude, innermost, run
from ._terminal import make_printable

# A batch has time, and a provider that limits its rate needs it.
DEFAULT_TIMEOUT = 600.0


class MapOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``liter map`` was asked; see its help."""

    input: str
    output: str
    model: str | None
    concurrency: int
    max_retries: int | None
    timeout: float | None
    max_cost: float | None
    overwrite: bool
    ordered: bool
    config: str | None
    base_url: str | None
    api_key_env: str | None
    backend: str


def map_file(options: MapOptions) -> int:
    """Make the calls, and return the exit code: 0, or 1 when some have failed, or are left."""
    make_printable(sys.stderr)
    return conclude(partial(_map, options))


def _map(options: MapOptions) -> None:
    source, target = Path(options.input), Path(options.output)
    if source.exists() and not (source.is_file() or source.is_dir()):
        raise UsageError(f"{source} is no file, and the input is read twice")
    try:
        requests = BatchInput(source, options.model)
        if target.exists() and target.samefile(source):
            raise UsageError(f"{target} is the input: give another --output")
        output = BatchOutput(target, requests.ids, overwrite=options.overwrite)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    if options.ordered and not output.kept:
        output.close()
        raise UsageError(f"--ordered is for a file, and {target} is none")
    remaining = Remaining(requests, output.done, options.max_cost)
    log = logging.getLogger("liter")
    handler = _handler()
    log.addHandler(handler)
    try:
        run(partial(_ask, options, remaining, output), options.backend)
        if options.ordered:
            output.order()
        output.close()
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise CommandError(
            f"{options.output}: {error.strerror or error}; the same command goes on from there"
        ) from error
    except BaseException as raised:
        if isinstance(innermost(raised), KeyboardInterrupt):
            print(f"liter: stopped: {_progress(remaining)}; the same command goes on from there", file=sys.stderr)
        raise
    finally:
        log.removeHandler(handler)
        output.close()
    stats = remaining.stats
    assert stats is not None  # noqa: S101 # for type checkers
    if stats.failed:
        raise CommandError(
            f"{stats.failed} of {len(requests)} failed, {options.output} tells why; the same command tries them again"
        )
    if stats.done < len(requests):
        raise CommandError(f"{remaining.stopped}: {_progress(remaining)}; the same command goes on from there")


async def _ask(options: MapOptions, remaining: Remaining, output: BatchOutput) -> None:
    api_key = None
    if options.api_key_env is not None:
        api_key = os.environ.get(options.api_key_env)
        if not api_key:
            raise CommandError(f"--api-key-env: the environment variable {options.api_key_env} is not set")
    async with _client(options) as client:
        results = client.map(
            remaining,
            concurrency=options.concurrency,
            on_error="return",
            progress=sys.stderr.isatty(),
            timeout=options.timeout,
            base_url=options.base_url,
            api_key=api_key,
        )
        remaining.stats = results.stats
        results.stats.done = results.stats.restored = len(output.done)
        async with results:
            async for result in results:
                await output.add(result)
    if not sys.stderr.isatty():
        print(results.stats.line(bars=False), file=sys.stderr)


def _client(options: MapOptions) -> LlmClient:
    given: dict[str, object] = {} if options.max_retries is None else {"max_retries": options.max_retries}
    if options.config is not None:
        path = Path(options.config)
    else:
        try:
            path = find_config()
        except FileNotFoundError:
            retries = DEFAULT_MAX_RETRIES if options.max_retries is None else options.max_retries
            return LlmClient(timeout=DEFAULT_TIMEOUT, max_retries=retries)
    return LlmClient.from_config(path, **given)


def _progress(remaining: Remaining) -> str:
    done = 0 if remaining.stats is None else remaining.stats.done - remaining.stats.failed
    return f"{done} of {len(remaining)} done"


def _handler() -> logging.Handler:
    """Tells what the log of ``liter`` warns of, on a line of its own, above that of the progress."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(("\r\x1b[K" if sys.stderr.isatty() else "") + "liter: %(message)s"))
    handler.setLevel(logging.WARNING)
    return handler
