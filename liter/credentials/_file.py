"""A key in a file."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .._errors import AuthenticationError
from .._key import checked_key
from ._refreshing import Fetched, Refreshing

# No key is longer, but a file given by mistake may be.
_LONGEST = 64 * 1024


class FromFile(Refreshing):
    """A key in a file of its own, as container platforms mount it. A changed file counts within ``seconds``.

    The file is read in a thread, and blanks and line breaks around the key are left out.

    :param path: the file, ``~`` for the home directory included
    :param seconds: how long a key that was read is used before the file is looked at again
    """

    def __init__(
        self,
        path: str | Path,
        *,
        seconds: float = 1.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not seconds > 0:
            raise ValueError(f"seconds must be positive, not {seconds!r}")
        super().__init__(early=timedelta(0), now=now)
        self._path = Path(path).expanduser()
        self._life = timedelta(seconds=seconds)

    def fetch_blocking(self) -> Fetched:
        """Read the file."""
        try:
            with self._path.open("rb") as file:
                text = file.read(_LONGEST).decode("ascii", "replace").strip()
        except OSError as error:
            raise AuthenticationError(f"no key: {self._path} cannot be read: {error.strerror}") from None
        return Fetched(credential=checked_key(text, f"the key in {self._path}"), expires=self._now() + self._life)

    def __repr__(self) -> str:
        return f"FromFile({str(self._path)!r})"
