"""The documentation does what it says: its code runs, its links lead somewhere, its commands are the ones there are."""

import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import httpcore
import pytest

import liter.middleware
import liter.testing

from .._script import load

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "docs/examples").glob("*.py"))


runner = load("docs/run.py")


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands(page: Path) -> list[str]:
    return [line for block in runner.blocks(page) if block.language == "console" for line in block.code.splitlines()]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_keys() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_code_prints_what_the_page_shows(page: Path, backend: str) -> None:
    """Every python block runs, on both event loops, and prints what the block after it shows, or nothing."""
    if page.name == "why.md" and httpcore.__version__ != "1.0.9":
        pytest.skip("the page shows a fault of httpcore 1.0.9, which this version may not have")
    runner.check_page(page, backend)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_block_is_run_or_shown(page: Path) -> None:
    """There is no code in a language that the runner passes over."""
    assert {block.language for block in runner.blocks(page)} <= {"python", "console", "text"}


def test_a_page_that_shows_something_else_is_refused(tmp_path: Path) -> None:
    """The runner tells what a block prints, what the page shows, and where."""
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```python\nprint(1)\n```\n\n```text\n2\n```\n", encoding="utf-8")
    with pytest.raises(runner.PageError, match=r"page.md:4: on trio this block prints\n1\n\nand the page shows\n2\n"):
        runner.check_page(page, "trio")


def test_what_a_block_prints_must_be_shown(tmp_path: Path) -> None:
    """A block that prints where the page shows nothing is refused."""
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n\nAnd so on.\n", encoding="utf-8")
    with pytest.raises(runner.PageError):
        runner.check_page(page, "asyncio")


def test_awaiting_blocks_run_in_virtual_time(tmp_path: Path) -> None:
    """An hour of waiting is over at once, names of earlier blocks are known, and each block has a clock of its own."""
    page = tmp_path / "page.md"
    first = "```python\nimport anyio\n\nhour = 3600\n```\n"
    second = "```python\nstarted = anyio.current_time()\nawait anyio.sleep(hour)\n"
    second += "print(anyio.current_time() - started)\n```\n\n```text\n3600.0\n```\n"
    page.write_text(first + second, encoding="utf-8")
    assert runner.check_page(page, "asyncio") == 2
    assert runner.check_page(page, "trio") == 2


@pytest.mark.parametrize("example", EXAMPLES, ids=page_id)
def test_example_runs_without_a_key(example: Path) -> None:
    """An example application finds no key, brings its own provider, and reports the tokens that were used."""
    command = [sys.executable, "-W", "error", "-X", "utf8", str(example)]
    done = subprocess.run(command, env=without_keys(), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert "tokens" in done.stdout.decode()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of the repository finds it, and every anchor finds its heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file) if file else page
        assert path.is_file(), target
        assert not anchor or anchor in anchors(path), target


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_name_files_that_are_there(page: Path) -> None:
    """A path in a command is a file of the repository."""
    for command in commands(page):
        for word in command.split():
            if "/" in word and word.endswith((".py", ".md", ".txt")):
                assert (ROOT / word).is_file(), command


def test_readme_has_two_commands() -> None:
    """One line sets up and shows the demo, one sets up and runs the tests, with nothing but Python and pip."""
    demo, tests = commands(README)
    assert demo == "python3 -m venv .venv && .venv/bin/pip install -q -e '.[cli,trio]' && .venv/bin/liter demo"
    assert tests == (
        "python3 -m venv .venv && .venv/bin/pip install -qU pip && .venv/bin/pip install -q -e . --group test "
        "&& .venv/bin/python -m pytest -q -n 2 --dist worksteal"
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"cli", "trio"} <= project["project"]["optional-dependencies"].keys()
    assert "liter" in project["project"]["scripts"]
    assert "test" in project["dependency-groups"]


def test_readme_shows_the_demo() -> None:
    """The scenes that the README shows, and what they say was found, are those of the demo."""
    shown = next(block.shown for block in runner.blocks(README) if "liter demo" in block.code)
    wanted = {line.strip(" ─") for line in shown.splitlines() if line.lstrip().startswith(("✓", "──"))}
    assert wanted
    command = [sys.executable, "-X", "utf8", "-m", "liter", "demo"]
    environment = {**without_keys(), "COLUMNS": "100"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert wanted <= {line.strip(" ─") for line in done.stdout.decode().splitlines()}


def test_testing_page_names_all_there_is() -> None:
    """docs/testing.md names everything that liter.testing exports."""
    text = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    assert [name for name in liter.testing.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_layers_page_names_all_there_is() -> None:
    """docs/layers.md names everything that liter.middleware exports."""
    text = (ROOT / "docs/layers.md").read_text(encoding="utf-8")
    assert [name for name in liter.middleware.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_each_layer_has_its_place_and_its_limits() -> None:
    """Every layer has a section of docs/layers.md, which says where it belongs and when not to use it."""
    text = (ROOT / "docs/layers.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL))
    layers = [name for name in liter.middleware.__all__ if _is_layer(getattr(liter.middleware, name))]
    assert len(layers) > 10
    for name in layers:
        for point in ("**When not.**", "**Where.**"):
            assert point in sections[name], f"{name} lacks {point}"


def _is_layer(thing: object) -> bool:
    """Whether it is a class whose objects take a call and the next handler."""
    call = thing.__dict__.get("__call__") if isinstance(thing, type) else None
    return call is not None and list(inspect.signature(call).parameters)[:3] == ["self", "call", "call_next"]


def test_changelog_has_this_version() -> None:
    """CHANGELOG.md begins with the version that the package has."""
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == liter.__version__
