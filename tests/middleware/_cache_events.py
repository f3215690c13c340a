"""What a cache tells, for tests that are about something else than its misses."""

from collections.abc import Callable

from liter.middleware import CacheMiss


def but_misses(told: list[object]) -> Callable[[object], None]:
    """Make a listener that keeps all events but ``CacheMiss``."""

    def listen(event: object) -> None:
        if not isinstance(event, CacheMiss):
            told.append(event)

    return listen
