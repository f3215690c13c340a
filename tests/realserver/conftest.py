"""llama.cpp's own server, with a tiny model of random weights: code that speaks the protocols and is not liter's."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from .._free_port import free_port

HERE = Path(__file__).parent
KEY = "sk-of-the-real-server"
_NEEDED = ("xllamacpp", "gguf", "numpy")

Start = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.realserver)
            item.add_marker(pytest.mark.realtime)


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Serve with some arguments, once for all tests; gives the base URL."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: pip install --group realserver")
    model = tmp_path_factory.mktemp("model") / "noise.gguf"
    subprocess.run([sys.executable, HERE / "make_model.py", model], check=True)
    running: dict[tuple[str, ...], str] = {}
    with ExitStack() as stack:

        def serve(*arguments: str) -> str:
            if arguments not in running:
                running[arguments] = stack.enter_context(_served(model, arguments))
            return running[arguments]

        yield serve


@contextmanager
def _served(model: Path, arguments: tuple[str, ...]) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, HERE / "serve.py", model, str(port), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told.startswith(b"serving at"), f"the server did not start: {told!r}"
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
