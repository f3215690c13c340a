"""The models that a provider offers."""

import msgspec

from ._response import ApiResponse


class ListModelsRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Asks for all models that the key may use.

    :param provider: whose models; by default the client's own provider's
    """

    provider: str | None = None


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
    """

    object: str = "list"
    data: list[Model] = msgspec.field(default_factory=list[Model])
    has_more: bool | None = None
