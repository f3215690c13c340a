"""Moderation: whether texts and images are harmful, and how."""

from collections.abc import Mapping, Sequence

import msgspec

from ._checks import check_items
from ._response import ApiResponse
from ._usage import Usage


class ModerationRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a check. ``None`` is not sent.

    :param input: a text, or several; or content parts, text and images (``{"type": "image_url", ...}``), checked as one
    :param model: ``"provider/model"``; by default the newest of the client's own provider
    :param extra_body: more fields of the provider's body; merged last, so they win
    :raises ValueError: what cannot be right, with what would be
    """

    input: str | Sequence[str] | Sequence[Mapping[str, object]]
    model: str | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.input, str):
            check_items(self.input, "input")


class ModerationResult(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """The outcome for one input. Categories keep the provider's names, those we do not know too.

    :param flagged: whether any category was found
    :param categories: which were; ``None`` where a category was not looked for
    :param category_scores: how surely, 0 to 1
    :param category_applied_input_types: what each was found in: ``["text", "image"]``
    """

    flagged: bool = False
    categories: dict[str, bool | None] = {}
    category_scores: dict[str, float | None] = {}
    category_applied_input_types: dict[str, list[str] | None] | None = None


class ModerationResponse(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """The outcomes, in the order of the inputs."""

    id: str = ""
    model: str = ""
    results: list[ModerationResult] = msgspec.field(default_factory=list[ModerationResult])
    usage: Usage | None = None
