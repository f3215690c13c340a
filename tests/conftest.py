"""Both backends for every async test, in virtual time unless a test is marked ``realtime``."""

import pytest

from liter.testing import VirtualTimeLoop


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what takes minutes, unless it is asked for."""
    if "load" not in str(config.getoption("-m")):
        for item in items:
            if item.get_closest_marker("load"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: ask for it by -m load"))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """The event loop under test: virtual time, or the wall clock for tests marked ``realtime``."""
    name: str = request.param
    if request.node.get_closest_marker("realtime"):
        return name, {}
    if name == "asyncio":
        return name, {"loop_factory": VirtualTimeLoop}
    from trio.testing import MockClock

    return name, {"clock": MockClock(autojump_threshold=0)}
