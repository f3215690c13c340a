"""Vectors of embeddings: compact numbers that still are a sequence."""

import sys
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = array[float]
else:
    Numbers = array


class Vector(Numbers):
    """The numbers of an embedding: a sequence of floats, kept as an ``array`` of single precision (``"f"``) where it
    came as base64, of double precision (``"d"``) where it came as JSON numbers.
    """

    __slots__ = ()

    @classmethod
    def of(cls, numbers: Sequence[float] = ()) -> "Vector":
        """Make one of numbers, in double precision."""
        return cls("d", numbers)

    @classmethod
    def of_bytes(cls, data: bytes, typecode: Literal["f", "d"] = "f") -> "Vector":
        """Make one of little-endian numbers, in single precision (``"f"``) or double.

        :raises ValueError: the bytes are no whole number of numbers
        """
        vector = cls(typecode)
        vector.frombytes(data)
        if sys.byteorder == "big":
            vector.byteswap()
        return vector

    def array(self) -> "NDArray[np.float32 | np.float64]":
        """The vector as a numpy array that shares its memory: nothing is copied.

        :raises ImportError: numpy is not installed
        """
        import numpy as np

        return np.frombuffer(self, dtype=np.float32 if self.typecode == "f" else np.float64)

    def __repr__(self) -> str:
        shown = ", ".join(f"{number:.4g}" for number in self[:3])
        return f"<{len(self)} numbers: {shown}{', ...' if len(self) > 3 else ''}>"


def plain(value: object) -> object:
    """Say as plain values what msgspec does not know: a hook for its encoders."""
    if isinstance(value, Vector):
        return value.tolist()
    raise NotImplementedError(f"{type(value).__name__} cannot be encoded")


def packed(value: object) -> object:
    """The same, in fewer bytes: for those who read it back by :func:`unpacked`."""
    if isinstance(value, Vector):
        return value.typecode.encode() + value.tobytes() if sys.byteorder == "little" else value.tolist()
    raise NotImplementedError(f"{type(value).__name__} cannot be encoded")


def unpacked(kind: type, value: object) -> object:
    """Make a vector of what :func:`packed` wrote, or of a list of numbers: a hook for msgspec's decoders."""
    if kind is Vector:
        if isinstance(value, bytes):
            return Vector.of_bytes(value[1:], "d" if value[:1] == b"d" else "f")
        return Vector.of(cast("Sequence[float]", value))
    # ``object``: anything goes.
    return value
