"""Write the tables of providers.md, operations.md and configuration.md from the code that they tell of.

    python docs/tables.py [--check]

What stands between ``<!-- table: NAME -->`` and ``<!-- end -->`` is replaced; the rest of a page is written by hand.
With ``--check`` nothing is written, and a page that is not current is an error.
"""

import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from liter import LlmClient
from liter._cli._providers import chats_as_openai, differences, own_rules
from liter._config._build import CLIENT_KEYS
from liter._config._layers import layer_kinds
from liter.providers import Mapped, Renamed, Rule, Sent, Unsupported, WireProvider, known_providers
from liter.providers._entry import aliases_of, entry, load
from liter.providers._registry import PROTOCOLS
from liter.providers._wire import family_of

PAGES = [Path(__file__).with_name(name) for name in ("providers.md", "operations.md", "configuration.md")]
_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

RECORDS = [entry(name) for name in sorted(known_providers())]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _table(head: list[str], rows: Iterator[list[str]]) -> str:
    return "\n".join([_row(*head), "|" + "---|" * len(head), *(_row(*row) for row in rows)])


def _code(words: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def spoken() -> str:
    """Providers whose protocol has a codec."""
    rows = (
        [
            f"`{record.name}`",
            f"[{record.title}]({record.docs})" if record.docs else record.title,
            record.protocol,
            _code(record.key_variables) + (" (optional)" if record.key_variables and record.local else ""),
            ", ".join(record.operations),
            _code(aliases_of(record.name)),
        ]
        for record in RECORDS
        if record.protocol in PROTOCOLS
    )
    return _table(["name", "provider", "protocol", "key from", "offers", "also"], rows)


def unspoken() -> str:
    """Providers that are listed only."""
    rows = (
        [f"`{record.name}`", record.title, record.protocol, ", ".join(record.operations)]
        for record in RECORDS
        if record.protocol not in PROTOCOLS
    )
    return _table(["name", "provider", "protocol", "offers"], rows)


def settings() -> str:
    """What addresses leave open, and variables that hold whole addresses."""
    rows = (
        [
            f"`{record.name}`",
            f"`{record.base_url}`" if record.base_url else "always given",
            ", ".join(f"`{name}`: {_code(variables) or 'none'}" for name, variables in record.settings.items()),
            _code(tuple(record.base_variables)),
        ]
        for record in RECORDS
        if record.settings or record.base_variables or record.base_url is None
    )
    return _table(["name", "address", "settings, and the variables they come from", "whole address from"], rows)


def models() -> str:
    """How bare names are told."""
    by_provider: dict[str, list[str]] = {}
    for beginning, name in load().models.items():
        by_provider.setdefault(name, []).append(beginning)
    return _table(
        ["provider", "bare names that begin with"],
        ([f"`{name}`", _code(beginnings)] for name, beginnings in sorted(by_provider.items())),
    )


def parameters() -> str:
    """What becomes of each parameter of a chat, for each protocol."""
    tables: dict[str, Mapping[str, Rule]] = {}
    for protocol in sorted(PROTOCOLS):
        record = next(record for record in RECORDS if record.protocol == protocol)
        name = protocol if protocol in known_providers() else record.name
        provider = known_providers()[name]
        if protocol != "openai" and chats_as_openai(provider):
            continue
        if isinstance(provider, WireProvider) and "chat" in provider.operations and provider.parameters("chat"):
            tables[protocol] = provider.parameters("chat")
    names = list(tables["openai"])
    rows = ([f"`{name}`", *(_told(table.get(name)) for table in tables.values())] for name in names)
    return _table(["parameter", *tables], rows)


def searches() -> str:
    """What becomes of each parameter of a search, for each engine."""
    engines = [(record.name, known_providers()[record.name]) for record in RECORDS if "search" in record.operations]
    tables = {
        name: provider.parameters("search")
        for name, provider in engines
        if isinstance(provider, WireProvider) and "search" in provider.operations
    }
    names = ("model", "max_results", "search_domain_filter", "country")
    rows = ([f"`{engine}`", *(_told(table.get(name)) for name in names)] for engine, table in tables.items())
    return _table(["engine", *names], rows)


def specialists() -> str:
    """What becomes of parameters beside chats and searches, where it is told."""

    def rows() -> Iterator[list[str]]:
        for operation in ("ocr", "speech", "transcribe", "image_generate", "rerank"):
            for record in RECORDS:
                provider = known_providers()[record.name]
                if isinstance(provider, WireProvider) and operation in provider.operations:
                    told = differences(dict(provider.parameters(operation)))
                    if told:
                        yield [
                            f"`{operation}`",
                            f"`{record.name}`",
                            "; ".join(f"`{name}`: {what}" for name, what in told.items()),
                        ]

    return _table(["method", "provider", "what is not sent as it is"], rows())


def _told(rule: Rule | None) -> str:
    match rule:
        case Sent():
            return "sent"
        case Renamed(to):
            return f"as `{to}`"
        case Mapped(how):
            return how
        case Unsupported(instead):
            return "**no**" + (f": {instead}" if instead else "")
        case _:
            return ""


def imitators() -> str:
    """How those who speak OpenAI's wire differ from it."""

    def rows() -> Iterator[list[str]]:
        for record in RECORDS:
            provider = known_providers()[record.name]
            if not chats_as_openai(provider):
                continue
            told = [f"`{name}`: {_escaped(what)}" for name, what in differences(own_rules(provider)).items()]
            if record.quirks.body:
                told += [f"`{name}` is `{value}` unless it is given" for name, value in record.quirks.body.items()]
            if record.quirks.inline_images:
                told.append("takes images as data only")
            if record.quirks.content_as_text:
                told.append("content is sent as text")
            if record.quirks.reasoning_field:
                told.append(f"reasoning goes back as `{record.quirks.reasoning_field}`")
            if told:
                yield [f"`{record.name}`", "; ".join(told)]

    return _table(["name", "difference"], rows())


def _escaped(text: str) -> str:
    return re.sub(r"(\{.*?\})(?=;|$)", r"`\1`", text)


def decisions() -> str:
    """What was decided where sources disagree."""
    rows = (
        [f"`{record.name}`", decision.field, decision.reason]
        for record in RECORDS
        for decision in record.decisions
        if decision.field.startswith("base_url")
    )
    return _table(["name", "field", "decision"], rows)


def _offered() -> Mapping[str, WireProvider]:
    """The providers that offer anything, by name."""
    found = {name: known_providers()[name] for name in sorted(known_providers())}
    return {name: one for name, one in found.items() if isinstance(one, WireProvider) and one.operations}


def _by_family() -> Mapping[str, list[str]]:
    """All operations, in families, those first that most providers offer."""
    counts = Counter(operation for provider in _offered().values() for operation in provider.operations)
    families: dict[str, list[str]] = {}
    for operation, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        # Who counts tokens is told beside who chats.
        family = operation if operation == "count_tokens" else family_of(operation)
        families.setdefault(family, []).append(operation)
    return families


# Methods that make a stream of an operation, where they are not called as it is with ``_stream`` at the end.
_STREAM_METHODS = {
    "create_response": "response_stream",
    "image_generate": "image_stream",
    "batch_results": "batch_results",
}


def methods() -> str:
    """Each operation, its methods, and who offers it."""
    offered = _offered()

    def rows() -> Iterator[list[str]]:
        for operation in (operation for operations in _by_family().values() for operation in operations):
            names = [name for name, provider in offered.items() if operation in provider.operations]
            streamed = sum(offered[name].streams(operation) for name in names)
            method = _STREAM_METHODS.get(operation, f"{operation}_stream")
            stream = f", `{method}`" if streamed and method != operation else ""
            listed = _code(names) if len(names) <= 25 else "see below"
            yield [f"`{operation}`{stream}", str(len(names)), str(streamed or ""), listed]

    return _table(["method", "providers", "that stream it", "which"], rows())


def offers() -> str:
    """What each provider offers, of those that offer more than chats and a list of models."""
    families = _by_family()

    def cell(provider: WireProvider, operations: list[str]) -> str:
        offered = [operation for operation in operations if operation in provider.operations]
        if not offered:
            return ""
        streams = any(provider.streams(operation) for operation in offered)
        return ("yes" if len(offered) == len(operations) else "some") + (", streams" if streams else "")

    def rows() -> Iterator[list[str]]:
        for name, provider in _offered().items():
            if not provider.operations <= {"chat", "list_models"}:
                yield [f"`{name}`", *(cell(provider, operations) for operations in families.values())]

    return _table(["provider", *families], rows())


def chat_only() -> str:
    """Those that offer chats, and may list their models."""
    names = [name for name, provider in _offered().items() if provider.operations <= {"chat", "list_models"}]
    return f"{len(names)} providers offer chats, streamed, and most a list of models: {_code(names)}."


def _told_of(kind: object, name: str) -> str:
    """What a docstring says of a parameter."""
    text = inspect.getdoc(kind) or ""
    found = re.search(rf":param {name}: (.+?)(?=\n:|\n\n|\Z)", text, re.DOTALL)
    told = " ".join(found.group(1).split()) if found else "see [layers.md](layers.md)"
    return re.sub(r":\w+:`([^`]*)`", r"`\1`", told.replace("``", "`"))


def client_keys() -> str:
    """What a configuration may say of the client."""
    return _table(["key of `[client]`", "is"], ([f"`{key}`", _told_of(LlmClient, key)] for key in CLIENT_KEYS))


def layer_keys() -> str:
    """The layers that a configuration may name, and their keys."""

    def rows() -> Iterator[list[str]]:
        for name, kind in layer_kinds().items():
            if not kind.settings:
                yield [f"`{name}`", "", "has no settings here"]
            for number, key in enumerate(kind.settings):
                yield ["" if number else f"`{name}`", f"`{key}`", _told_of(kind.make, key)]

    return _table(["`type`", "key", "is"], rows())


TABLES: Mapping[str, Callable[[], str]] = {
    make.__name__: make
    for make in (
        spoken, unspoken, settings, models, parameters, searches, specialists, imitators, decisions, methods, offers,
        chat_only, client_keys, layer_keys,
    )
}  # fmt: skip


def current(page: str) -> str:
    """The page with its tables as they should be."""
    return _MARKED.sub(lambda match: f"{match.group(1)}{TABLES[match.group(2)]()}\n{match.group(3)}", page)


def main(arguments: list[str]) -> int:
    """Write the pages, or check them. :return: the exit code"""
    stale = 0
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        wanted = current(page)
        if "--check" not in arguments:
            path.write_text(wanted, encoding="utf-8")
        elif page != wanted:
            print(f"{path.name} is not current: run python docs/tables.py", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
