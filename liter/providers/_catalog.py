"""The providers that one client reaches: its own, those registered in the process, and those that liter knows."""

import difflib
from collections.abc import Iterator, Mapping, Sequence

from ._codec import Provider
from ._custom import Custom, CustomProviderConfig, registered
from ._entry import canonical, provider_of_model
from ._registry import known_providers


class Catalog(Mapping[str, Provider]):
    """Providers by name. What is registered later shows in it.

    :param own: the client's own; they come before all others of the same names
    """

    def __init__(self, own: Sequence[CustomProviderConfig | Provider] = ()) -> None:
        customs = [Custom.of(given) for given in own]
        self._own: Mapping[str, Custom] = {custom.provider.name: custom for custom in customs}
        if len(self._own) < len(customs):
            raise ValueError("providers: two have the same name")
        self._known = known_providers()

    @property
    def registered(self) -> Mapping[str, Custom]:
        """Those registered in the process: another object after each change."""
        return registered()

    def _customs(self) -> Mapping[str, Custom]:
        others = registered()
        return {**others, **self._own} if others else self._own

    def __getitem__(self, name: str) -> Provider:
        custom = self._own.get(name) or registered().get(name)
        return self._known[name] if custom is None else custom.provider

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in registered() or name in self._known

    def __iter__(self) -> Iterator[str]:
        customs = self._customs()
        yield from customs
        yield from (name for name in self._known if name not in customs)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        customs = self._customs()
        return f"<{len(self)} providers{', custom: ' + ', '.join(customs) if customs else ''}>"

    def find(self, name: str) -> str | None:
        """The provider that a name or an alias stands for; ``None``: it stands for none."""
        customs = self._customs()
        if name in customs:
            return name
        for custom in customs.values():
            if name in custom.names:
                return custom.provider.name
        return canonical(name)

    def custom_of_model(self, model: str) -> str | None:
        """The custom provider that the beginning of a model's name tells, the longest that fits."""
        fitting = [
            (len(beginning), name)
            for name, custom in self._customs().items()
            for beginning in custom.beginnings
            if model.startswith(beginning)
        ]
        return max(fitting)[1] if fitting else None

    def known_of_model(self, model: str) -> str | None:
        """The provider that liter knows to name its models so; ``None``: nothing tells."""
        return provider_of_model(model)

    def near(self, name: str) -> str | None:
        """The provider whose name is most like one that is unknown, if any is."""
        near = difflib.get_close_matches(name, list(self), n=1, cutoff=0.75)
        return near[0] if near else None

    def unknown(self, name: str) -> str:
        """Say that a name is unknown, and what was probably meant."""
        near = self.near(name)
        meant = f"did you mean {near!r}?" if near else "`liter providers` lists those there are"
        return f"unknown provider {name!r}: {meant}"
