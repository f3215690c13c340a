"""The command line: what can be asked, and who does it."""

import argparse
import math
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from .._version import __version__

DEFAULT_MODEL = "openai/gpt-4o-mini"
DEFAULT_PORT = 8100
DEFAULT_SEED = 7


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``liter``.

    :param arguments: what comes after the program's name; by default from ``sys.argv``
    :return: the exit code: 0, 1 when it failed, 2 when it was called in a wrong way, 130 after Ctrl-C
    """
    parser = _parser()
    try:
        given = vars(parser.parse_args(arguments))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    # Each command imports what it needs, so that help and mistakes are quick.
    match given["command"]:
        case "demo":
            from ._demo import DemoOptions, demo

            return demo(msgspec.convert(given, DemoOptions))
        case "chat":
            from ._chat import ChatOptions, chat

            return chat(msgspec.convert(given, ChatOptions))
        case "sim":
            from ._sim import SimOptions, sim

            return sim(msgspec.convert(given, SimOptions))
        case "spend":
            from ._spend import SpendOptions, spend

            return spend(msgspec.convert(given, SpendOptions))
        case "map":
            from ._map import MapOptions, map_file

            return map_file(msgspec.convert(given, MapOptions))
        case "providers":
            from ._providers import ProvidersOptions, providers

            return providers(msgspec.convert(given, ProvidersOptions))
        case "config":
            from ._config import ConfigOptions, config

            return config(msgspec.convert(given, ConfigOptions))
        case _:
            parser.print_help()
            return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="liter", description="One async client for every LLM provider.")
    parser.add_argument("--version", action="version", version=f"liter {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_demo(commands.add_parser("demo", help="show what the layers do, against a simulated provider on this machine"))
    _add_chat(commands.add_parser("chat", help="ask a model, and print its answer as it arrives"))
    _add_map(commands.add_parser("map", help="make every request of a batch file, and write a file of results"))
    _add_providers(commands.add_parser("providers", help="list the providers, or show what is known of one"))
    _add_sim(commands.add_parser("sim", help="serve the simulated provider until Ctrl-C"))
    _add_spend(commands.add_parser("spend", help="show what is in a ledger: who spent how much"))
    _add_config(commands.add_parser("config", help="say what a configuration file means"))
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.description = "Say what liter.toml means: the client, its keys, stores and layers. Asks nobody."
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="read a file, and say what it means or what is wrong")
    check.add_argument(
        "file", nargs="?", metavar="FILE", help="by default liter.toml here, or in the nearest folder above"
    )
    check.add_argument("--plain", action="store_true", help="plain text, even where rich is installed")


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.description = "Show what the layers do, against a simulated provider on this machine. Needs no key."
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, help="of jitter and made-up ids (default: %(default)s)"
    )
    parser.add_argument(
        "--speed", type=_speed, default=1.0, metavar="X", help="0.1 to 5; 2 is twice as fast (default: %(default)s)"
    )
    parser.add_argument("--plain", action="store_true", help="plain text, even where rich is installed")
    _add_backend(parser)


def _add_chat(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Ask a model, and print its answer as it arrives. The key comes from the provider's environment variable."
    )
    parser.add_argument("prompt", nargs="?", metavar="PROMPT", help="the question; '-', or none, reads standard input")
    parser.add_argument(
        "-m", "--model", default=DEFAULT_MODEL, metavar="PROVIDER/MODEL", help="who answers (default: %(default)s)"
    )
    parser.add_argument("--system", metavar="TEXT", help="instructions that rank above the question")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="limit of the answer's tokens")
    parser.add_argument("--temperature", type=float, metavar="X", help="randomness, 0 to 2")
    parser.add_argument("--reasoning-effort", metavar="LEVEL", help="how long the model thinks: low, medium, high, ...")
    parser.add_argument("--base-url", metavar="URL", help="another address that speaks the provider's protocol")
    parser.add_argument(
        "--api-key-env", metavar="NAME", help="environment variable with the key, sent to --base-url as well"
    )
    parser.add_argument(
        "--timeout",
        type=_positive,
        default=60.0,
        metavar="SECONDS",
        help="to the first token, and between tokens; with --no-stream, in all (default: %(default)g)",
    )
    parser.add_argument(
        "--no-stream", dest="stream", action="store_false", help="print the answer when all of it is in"
    )
    parser.add_argument("--json", action="store_true", help="print the whole reply as JSON, in OpenAI's form")
    _add_backend(parser)


def _add_map(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Make every request of a batch file in OpenAI's form (custom_id, method, url, body), and write the results in "
        "OpenAI's form, as they come. The output is its own checkpoint: a run that was stopped goes on when it is "
        "started again; requests that failed are made again. The client is that of liter.toml, if there is one."
    )
    parser.add_argument("input", metavar="INPUT.jsonl", help="the requests, one on each line")
    parser.add_argument("-o", "--output", required=True, metavar="OUTPUT.jsonl", help="where the results go")
    parser.add_argument("-m", "--model", metavar="PROVIDER/MODEL", help="in place of every request's own")
    parser.add_argument(
        "--concurrency", type=_count, default=10, metavar="N", help="calls at a time (default: %(default)s)"
    )
    parser.add_argument("--max-retries", type=int, metavar="N", help="how often a call is tried again")
    parser.add_argument("--timeout", type=_positive, metavar="SECONDS", help="of each call, with all its retries")
    parser.add_argument(
        "--max-cost",
        type=_positive,
        metavar="USD",
        help="begin no more calls when those of this run have cost so much; for a limit that is never passed, give "
        "liter.toml a Budget",
    )
    parser.add_argument("--overwrite", action="store_true", help="begin anew, whatever the output holds")
    parser.add_argument(
        "--ordered", action="store_true", help="at the end, put the results in the order of the requests"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="by default liter.toml here, or in the nearest folder above, if there is one"
    )
    parser.add_argument("--base-url", metavar="URL", help="another address that speaks the provider's protocol")
    parser.add_argument(
        "--api-key-env", metavar="NAME", help="environment variable with the key, sent to --base-url as well"
    )
    _add_backend(parser)


def _add_providers(parser: argparse.ArgumentParser) -> None:
    parser.description = "List the providers that liter knows, or show what is known of one. Asks nobody."
    parser.add_argument("name", nargs="?", metavar="NAME", help="a provider's name, or an alias")
    parser.add_argument("--kind", metavar="KIND", help="only those: lab, host, gateway, cloud, local, ...")
    parser.add_argument("--json", action="store_true", help="print the records as JSON")


def _add_sim(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Serve the simulated provider until Ctrl-C, on the wires of OpenAI, Anthropic, Google and others."
    )
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, metavar="N", help="0 is any that is free (default: %(default)s)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of texts, ids and faults (default: %(default)s)")
    parser.add_argument(
        "--fault-rate",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="of requests that go wrong, 0 to 1 (default: %(default)g)",
    )
    parser.add_argument(
        "--latency",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="before an answer begins (default: %(default)g)",
    )
    _add_backend(parser)


def _add_spend(parser: argparse.ArgumentParser) -> None:
    parser.description = "Show what is in a ledger: a table with bars, CSV, JSON, or a page with plots."
    parser.add_argument("ledger", metavar="FILE", help="the file that the layer Ledger writes")
    parser.add_argument(
        "--by",
        type=_grouping,
        default="model",
        metavar="WHAT",
        help="model, provider, operation, outcome, day, hour, or tag:NAME (default: %(default)s)",
    )
    parser.add_argument("--since", type=_date, metavar="DATE", help="the first day or time, as 2026-11-01")
    parser.add_argument("--until", type=_date, metavar="DATE", help="the day or time before which it ends")
    parser.add_argument(
        "--time-zone", type=_time_zone, default="UTC", metavar="NAME", help="of days (default: %(default)s)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="comma-separated values, with amounts in full")
    form.add_argument("--json", action="store_true", help="the same as JSON")
    form.add_argument("--html", metavar="FILE", help="write a page with plots, which loads nothing")
    parser.add_argument("--title", default="Spend", help="of the page (default: %(default)s)")
    parser.add_argument("--plain", action="store_true", help="plain text, even where rich is installed")


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", choices=("asyncio", "trio"), default="asyncio", help="event loop to run on (default: %(default)s)"
    )


def _number(wanted: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not fits(number):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return number

    return convert


_speed = _number("a number from 0.1 to 5", lambda number: 0.1 <= number <= 5)
_positive = _number("a number above 0", lambda number: 0 < number < math.inf)
_seconds = _number("0 or more seconds", lambda number: 0 <= number < math.inf)
_share = _number("a share from 0 to 1", lambda number: 0 <= number <= 1)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 1 or more")
    return int(text)


def _grouping(text: str) -> str:
    if text not in ("model", "provider", "operation", "outcome", "day", "hour") and not text.startswith("tag:"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of model, provider, operation, outcome, day, hour, or a tag such as tag:tenant"
        )
    return text


def _date(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date, as 2026-11-01, or a time, as 2026-11-01T12:00"
        ) from None
    return text


def _time_zone(text: str) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time zone, as Europe/Berlin") from None
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)
