"""The models that a provider offers."""

import msgspec

from ._checks import check_count
from ._response import ApiResponse


class ListModelsRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Asks for the models that the key may use, a page at a time.

    :param provider: whose models; by default the client's own provider's
    :param limit: how many on a page, where the provider pages; by default the most it gives at once
    :param after: what a page's ``next_after`` said
    """

    provider: str | None = None
    limit: int | None = None
    after: str | None = None

    def __post_init__(self) -> None:
        check_count(self.limit, "limit")


class Model(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A model. Beyond ``id`` few providers tell much.

    :param id: its name in requests
    :param created: Unix time, in seconds
    :param display_name: its name for people
    :param context_window: tokens of prompt and reply together
    :param max_output_tokens: tokens of one reply
    """

    id: str
    object: str = "model"
    created: int | None = None
    owned_by: str | None = None
    display_name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None


class ModelsListResponse(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """The models, in the provider's order.

    :param has_more: whether the provider has more than it sent
    :param next_after: what ``after`` must be for the page that follows; ``None`` on the last one
    """

    object: str = "list"
    data: list[Model] = msgspec.field(default_factory=list[Model])
    has_more: bool | None = None
    next_after: str | None = None
