"""``liter providers``: which providers there are, and what is known of one."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

import msgspec

from ..providers import Mapped, OpenAI, Renamed, Rule, Unsupported, WireProvider, known_providers
from ..providers._assemblyai import AssemblyAI
from ..providers._entry import Entry, aliases_of, canonical, entry, models_of
from ..providers._perplexity import Perplexity
from ..providers._registry import PROTOCOLS
from ._terminal import Column, Line, Span, Terminal, open_terminal


class ProvidersOptions(msgspec.Struct, frozen=True):
    """What ``liter providers`` is called with."""

    name: str | None = None
    kind: str | None = None
    json: bool = False


def providers(options: ProvidersOptions, out: TextIO | None = None) -> int:
    """Run the command. :return: the exit code: 0, 1 when nothing of that name or kind is known"""
    stream = sys.stdout if out is None else out
    try:
        return _run(options, stream)
    except BrokenPipeError:
        # Whoever reads has seen enough. What is still to be flushed goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return 0


def _run(options: ProvidersOptions, out: TextIO) -> int:
    if options.name is None:
        records = [entry(name) for name in known_providers()]
        if options.kind is not None:
            records = [record for record in records if options.kind in (record.kind, "local" if record.local else "")]
            if not records:
                kinds = sorted({"local", *(entry(name).kind for name in known_providers())})
                print(
                    f"liter providers: none is of kind {options.kind!r}: there are {', '.join(kinds)}", file=sys.stderr
                )
                return 1
        if options.json:
            print(_json([told(record) for record in records]), file=out)
        else:
            _list(open_terminal(out), records)
        return 0
    name = canonical(options.name)
    if name is None:
        from ..providers import Catalog

        print(f"liter providers: {Catalog().unknown(options.name)}", file=sys.stderr)
        return 1
    record = entry(name)
    if options.json:
        print(_json(told(record)), file=out)
    else:
        _show(open_terminal(out), record)
    return 0


def told(record: Entry) -> dict[str, object]:
    """A record as plain data, with what is known of it beside the record itself."""
    provider = known_providers()[record.name]
    plain: dict[str, object] = msgspec.to_builtins(record)
    return {
        **plain,
        "aliases": aliases_of(record.name),
        "models": models_of(record.name),
        "spoken": record.protocol in PROTOCOLS,
        "calls": sorted(provider.operations),
    }


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _list(terminal: Terminal, records: Sequence[Entry]) -> None:
    rows: list[Sequence[Line]] = []
    for record in records:
        spoken = record.protocol in PROTOCOLS
        key = record.key_variables[0] if record.key_variables else ("none" if _keyless(record) else "")
        rows.append(
            [
                [Span(record.name, "bold" if spoken else "dim")],
                record.kind,
                [Span(record.protocol if spoken else f"{record.protocol} (not yet)", "" if spoken else "dim")],
                key,
            ]
        )
    terminal.table([Column("name"), Column("kind"), Column("protocol"), Column("key from")], rows)
    spoken_by = sum(record.protocol in PROTOCOLS for record in records)
    told = f"{len(records)} providers"
    if spoken_by < len(records):
        told += f", of which liter speaks the protocols of {spoken_by}"
    terminal.say(f"{told}. `liter providers NAME` shows one.")


def _keyless(record: Entry) -> bool:
    return record.local or record.auth.kind == "none"


def _show(terminal: Terminal, record: Entry) -> None:
    provider = known_providers()[record.name]
    terminal.rule(f"{record.title} ({record.name})")
    spoken = record.protocol in PROTOCOLS
    facts: list[tuple[str, str]] = [
        ("kind", record.kind + (", on this machine" if record.local else "")),
        ("protocol", record.protocol + ("" if spoken else ", which liter does not speak yet")),
        ("address", record.base_url or "your own: there is none that all share"),
        ("address from", ", ".join(record.base_variables)),
        ("log in by", _auth(record)),
        ("key from", " or ".join(record.key_variables) + (" (optional)" if _keyless(record) else "")),
        *((f"setting {name}", " or ".join(names) or "provider_settings=") for name, names in record.settings.items()),
        ("models", ", ".join([f"{record.name}/...", *(f"{alias}/..." for alias in aliases_of(record.name))])),
        ("bare models", ", ".join(f"{beginning}..." for beginning in models_of(record.name))),
        ("offers", ", ".join(record.operations)),
        ("calls", ", ".join(sorted(provider.operations)) or "none"),
        ("documentation", record.docs or ""),
        ("confidence", record.confidence),
    ]
    terminal.table([Column(""), Column("")], [[[Span(name, "dim")], text] for name, text in facts if text.strip()])
    parameters: tuple[str, ...] = ()
    if isinstance(provider, WireProvider):
        own = own_rules(provider)
        parameters = tuple(f"{name}: {what}" for name, what in differences(own).items())
    for title, lines in (
        ("Parameters of chats that are not sent as they are", parameters),
        ("Notes", record.notes),
        ("Other addresses", tuple(_alternative(record))),
        ("Decided", tuple(f"{decision.field}: {decision.reason}" for decision in record.decisions)),
    ):
        if lines:
            terminal.say([Span(title, "bold")])
            for line in lines:
                terminal.say(f"- {line}")
            terminal.say()


def _alternative(record: Entry) -> list[str]:
    return [
        f"{other.base_url}{other.path} ({', '.join(filter(None, [other.protocol, other.note]))})"
        for other in record.alternatives
    ]


def _auth(record: Entry) -> str:
    auth = record.auth
    match auth.kind:
        case "header":
            return f"{auth.header}: {auth.value.replace('{key}', 'KEY')}"
        case "bearer" | "google" | "copilot":
            return "Authorization: Bearer " + ("KEY" if auth.kind == "bearer" else f"TOKEN ({auth.kind})")
        case "query":
            return f"?{auth.parameter}=KEY"
        case "none":
            return "nothing, or Authorization: Bearer KEY"
        case kind:
            return kind + (f", service {auth.service}" if auth.service else "")


def chats_as_openai(provider: object) -> bool:
    """Whether a provider's chats are OpenAI's, but for differences that its record tells."""
    return type(provider) in (AssemblyAI, OpenAI, Perplexity)


def own_rules(provider: WireProvider) -> dict[str, Rule]:
    """The rules of a provider's chats; of who speaks OpenAI's wire, only those that differ from it."""
    rules = dict(provider.parameters("chat"))
    if chats_as_openai(provider):
        common = provider.wires["chat"].parameters
        return {name: rule for name, rule in rules.items() if common.get(name) != rule}
    return rules


def differences(rules: Mapping[str, Rule]) -> dict[str, str]:
    """What becomes of the parameters that are not sent as they are, in words."""
    words: dict[str, str] = {}
    for name, rule in sorted(rules.items()):
        match rule:
            case Renamed(to):
                words[name] = f"as {to}"
            case Mapped(how):
                words[name] = how
            case Unsupported(instead):
                words[name] = "not taken" + (f"; {instead}" if instead else "")
            case _:
                pass
    return words
