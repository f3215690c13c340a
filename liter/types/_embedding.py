"""Embeddings: texts as vectors."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from ._checks import check_count, check_items, check_model
from ._response import ApiResponse
from ._usage import Usage
from ._vector import Vector

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EmbeddingInput = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]] | Sequence[Mapping[str, object]]


class EmbeddingRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for the vectors of texts, in OpenAI's form. ``None`` is not sent.

    :param model: ``"provider/model"``, or a name that the client routes
    :param input: a text, or several; token ids, or several lists of them; for multimodal models, content parts
        in the form that chat messages have (``{"type": "image_url", ...}``), each made one vector
    :param encoding_format: how vectors travel; what comes out is a :class:`Vector` either way. By default ``"base64"``
        where the provider has it, which is smaller and faster; ``"float"`` is JSON numbers
    :param dimensions: how many numbers a vector has, for models that can be cut
    :param user: a stable, hashed id of the end user
    :param input_type: what the vectors are for, where models differ by it: ``"query"``, ``"document"``, ...
    :param extra_body: more fields of the provider's body; merged last, so they win
    :raises ValueError: what cannot be right, with what would be
    """

    model: str
    input: EmbeddingInput
    encoding_format: Literal["float", "base64"] | str | None = None
    dimensions: int | None = None
    user: str | None = None
    input_type: Literal["query", "document"] | str | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_model(self.model, "openai/text-embedding-3-small")
        if isinstance(self.input, str):
            if not self.input:
                raise ValueError("input must not be empty")
        else:
            check_items(self.input, "input")
        check_count(self.dimensions, "dimensions")

    @property
    def items(self) -> Sequence[str | Sequence[int] | Mapping[str, object]]:
        """The inputs, one for each vector."""
        if isinstance(self.input, str):
            return (self.input,)
        if isinstance(self.input[0], int):
            return (cast("Sequence[int]", self.input),)
        return cast("Sequence[str | Sequence[int] | Mapping[str, object]]", self.input)


class Embedding(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """The vector of one input.

    :param index: which input it is of, from 0
    :param embedding: its numbers; ``.array()`` gives numpy's
    """

    index: int = 0
    embedding: Vector = msgspec.field(default_factory=Vector.of)
    object: str = "embedding"


class EmbeddingResponse(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Vectors, in the order of the inputs.

    :param usage: token counts; ``None`` is unknown, never zero
    """

    object: str = "list"
    data: list[Embedding] = msgspec.field(default_factory=list[Embedding])
    model: str = ""
    usage: Usage | None = None

    def array(self) -> "NDArray[np.float32]":
        """All vectors as one numpy array of shape (inputs, dimensions), single precision.

        One alone shares its memory, see :meth:`Vector.array`.

        :raises ImportError: numpy is not installed
        """
        import numpy as np

        vectors = [one.embedding.array() for one in self.data]
        if len(vectors) == 1:
            return vectors[0].astype(np.float32, copy=False)[np.newaxis, :]
        return np.stack(vectors).astype(np.float32, copy=False)
