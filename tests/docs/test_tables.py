"""The tables of the pages are those that the registry, the codecs and the client make."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from liter import LlmClient

from .._script import load

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    return load("docs/tables.py")


def test_the_pages_are_current(tables: ModuleType) -> None:
    """``python docs/tables.py`` would change nothing."""
    for path in tables.PAGES:
        page = path.read_text(encoding="utf-8")
        assert tables.current(page) == page, "run python docs/tables.py"


def test_every_table_is_on_a_page(tables: ModuleType) -> None:
    """And no other."""
    pages = "".join(path.read_text(encoding="utf-8") for path in tables.PAGES)
    assert sorted(match.group(2) for match in tables._MARKED.finditer(pages)) == sorted(tables.TABLES)


def test_every_method_and_every_provider_is_told(tables: ModuleType) -> None:
    """The client has the methods that the table names; a provider is in the one table or in the other."""
    named = [
        name for line in tables.methods().splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split(" | ")[0])
    ]
    assert len(set(named)) == len(named)
    assert [name for name in named if not hasattr(LlmClient, name)] == []
    streams = {name for name in dir(LlmClient) if name.endswith("_stream")}
    assert streams <= set(named)
    told = tables.offers() + tables.chat_only()
    assert [name for name in tables._offered() if f"`{name}`" not in told] == []


def test_the_readme_counts_the_providers_that_are_spoken_to(tables: ModuleType) -> None:
    """And none of those that are only known."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"(\d+) providers:", readme)
    assert int(told) == sum(record.protocol in tables.PROTOCOLS for record in tables.RECORDS)


def test_every_provider_is_on_the_page(tables: ModuleType) -> None:
    """Among those that are spoken to, or among the others."""
    listed = tables.spoken() + tables.unspoken()
    assert all(f"| `{record.name}` |" in listed for record in tables.RECORDS)


def test_what_is_refused_is_told(tables: ModuleType) -> None:
    """The table of parameters tells of each protocol what the codec does."""
    rows = {line.split(" | ")[0].strip("| `"): line for line in tables.parameters().splitlines()}
    head = rows["parameter"].split(" | ")
    cells = rows["logit_bias"].split(" | ")
    told = dict(zip(head, cells, strict=True))
    assert told["openai"] == "sent"
    assert all(told[protocol].startswith("**no**") for protocol in ("cohere", "gemini", "mistral"))
