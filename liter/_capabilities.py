"""What a client can do with a model: as far as the registry and the codecs tell, without asking anybody."""

from collections.abc import Mapping

import msgspec

from .providers import Provider, Rule, Unsupported, WireProvider


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider of a model offers. A single model may do less: that its provider tells, when it is called.

    :param provider: the provider that the model routes to
    :param model: the model as that provider names it
    :param operations: what can be asked of it: ``"chat"``, ``"list_models"``, ...
    :param streamed: which of these can be streamed
    :param parameters: of each operation, what becomes of each parameter of its request; operations that do not
        tell are left out
    """

    provider: str
    model: str
    operations: frozenset[str]
    streamed: frozenset[str]
    parameters: Mapping[str, Mapping[str, Rule]]

    def takes(self, parameter: str, operation: str = "chat") -> bool:
        """Whether a parameter of an operation's request reaches the provider, under whatever name and form."""
        rules = self.parameters.get(operation)
        if operation not in self.operations or (rules is not None and parameter not in rules):
            return False
        return rules is None or not isinstance(rules[parameter], Unsupported)

    def __repr__(self) -> str:
        offered = [name + (" (also streamed)" if name in self.streamed else "") for name in sorted(self.operations)]
        rules = self.parameters.get("chat", {})
        without = [name for name, rule in rules.items() if isinstance(rule, Unsupported)]
        lacks = f"; chats take no {', '.join(without)}" if without else ""
        return f"<Capabilities of {self.provider}/{self.model}: {', '.join(offered) or 'none'}{lacks}>"


def capabilities_of(provider: Provider, model: str) -> Capabilities:
    """What a provider's codec tells of itself."""
    operations = provider.operations
    streamed: frozenset[str] = frozenset()
    parameters: dict[str, Mapping[str, Rule]] = {}
    if isinstance(provider, WireProvider):
        streamed = frozenset(operation for operation in operations if provider.streams(operation))
        parameters = {operation: rules for operation in sorted(operations) if (rules := provider.parameters(operation))}
    return Capabilities(
        provider=provider.name, model=model, operations=operations, streamed=streamed, parameters=parameters
    )
