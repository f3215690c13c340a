"""What an import loads: who makes a client of one provider pays for that one."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import liter.middleware
import liter.providers

# Each is large, or belongs to an extra, or is of no use to most.
NOT_LOADED = (
    "httpcore", "trio", "opentelemetry", "sqlite3", "coredis", "numpy", "rich", "botocore", "google.auth",
    "liter.testing", "liter.transport", "liter.telemetry", "liter._plan",
    "liter.middleware._hedge", "liter.middleware._router", "liter.middleware._cache",
    "liter.providers._gemini", "liter.providers._bedrock", "liter.providers._cohere", "liter.providers._anthropic",
)  # fmt: skip


def loaded(program: str) -> set[str]:
    """The modules that a program has loaded at its end."""
    command = [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(shown.stdout.split())


def test_importing_liter_loads_what_all_need() -> None:
    """No I/O, no codec, no layer but the default ones, nothing of an extra."""
    assert loaded("import liter") & set(NOT_LOADED) == set()


def test_a_client_loads_the_codec_it_calls() -> None:
    """And the transport; no other provider's codec."""
    modules = loaded("import liter; client = liter.LlmClient(api_key='sk'); client.providers['openai']")
    assert "liter.providers._openai" in modules
    assert not {name for name in modules if name.startswith(("liter.providers._gemini", "liter.providers._bedrock"))}


@pytest.mark.parametrize("package", [liter.providers, liter.middleware], ids=lambda package: package.__name__)
def test_every_name_that_type_checkers_see_is_there(package: object) -> None:
    """The two lists of a package that loads its parts lazily are the same."""
    tree = ast.parse(Path(package.__file__).read_text())
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    names = {alias.asname for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names <= set(dir(package))
    for name in names:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = package.Nothing
