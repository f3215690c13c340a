"""``liter config check``: what a configuration means."""

import sys
from pathlib import Path

import msgspec

from .._config import find_config, read_config
from .._config._build import build
from ._terminal import Column, open_terminal


class ConfigOptions(msgspec.Struct, frozen=True):
    """What the command was asked for.

    :param file: the configuration; ``None`` finds it
    """

    file: str | None = None
    plain: bool = False


def config(options: ConfigOptions) -> int:
    """Say what a file means, or what is wrong with it. Returns 0, or 1 if something is."""
    where = ""
    try:
        path = find_config() if options.file is None else Path(options.file)
        built = build(read_config(path), where=str(path), folder=path.parent)
        from .._client import LlmClient

        # What the client finds has no file in it.
        where = f"{path}: "
        client = LlmClient(**built.options)  # type: ignore[arg-type] # each is checked by the client
    except (OSError, ValueError) as error:
        print(f"liter: {where}{error}", file=sys.stderr)
        return 1
    terminal = open_terminal(sys.stdout, plain=options.plain)
    terminal.say(f"{path}: a client whose own provider is {client.home}")
    settings = {key: value for key, value in built.options.items() if key not in ("middleware", "api_keys")}
    if settings:
        terminal.table(_columns("setting", "value"), [(key, str(value)) for key, value in settings.items()])
    if built.keys:
        rows = [
            (provider, name, "set" if there else "not set")
            for provider, names in built.keys.items()
            for name, there in names.items()
        ]
        terminal.table(_columns("key of", "variable", "in this environment"), rows)
    if built.stores:
        terminal.table(_columns("store", "is"), [(name, repr(store)) for name, store in built.stores.items()])
    terminal.say("Every call goes through these layers, outermost first:")
    for line in client.explain().splitlines():
        terminal.say(f"  {line}")
    return 0


def _columns(*titles: str) -> list[Column]:
    return [Column(title) for title in titles]
