"""The tables of the page on providers are those that the registry and the codecs make."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_tables", ROOT / "docs/tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(tables: ModuleType) -> None:
    """``python docs/tables.py`` would change nothing."""
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.current(page) == page, "run python docs/tables.py"


def test_every_table_is_on_the_page(tables: ModuleType) -> None:
    """And no other."""
    page = tables.PAGE.read_text(encoding="utf-8")
    assert {match.group(2) for match in tables._MARKED.finditer(page)} == tables.TABLES.keys()


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
