"""What a router is given: its pools, checked."""

from collections.abc import Mapping, Sequence
from typing import cast

from ..money import PriceBook
from ._deployment import Deployment
from ._deployment_cost import DeploymentCosts


def check_pools(pools: Mapping[str, Sequence[Deployment]]) -> None:
    """Check a router's pools. :raises ValueError: one is empty, holds what it cannot, or another pool"""
    if not isinstance(pools, Mapping) or not pools:
        raise ValueError("pools must hold at least one pool, as {'fast': [Deployment('openai/gpt-4o-mini')]}")
    for name, deployments in pools.items():
        if not isinstance(cast("object", name), str) or not name:
            raise ValueError(f"pools: a pool's name is what calls give as their model, and {name!r} is none")
        if not deployments:
            raise ValueError(f"pools[{name!r}] must hold at least one Deployment")
        seen: set[tuple[object, ...]] = set()
        for given in deployments:
            deployment = cast("object", given)
            if not isinstance(deployment, Deployment):
                raise ValueError(f"pools[{name!r}] must hold Deployments, not {deployment!r}")
            if deployment.model != name and deployment.model in pools:
                raise ValueError(
                    f"pools[{name!r}] holds {deployment.model!r}, a pool itself, and pools do not nest: "
                    "list its deployments instead"
                )
            where = deployment.model, deployment.base_url, deployment.api_key
            if where in seen:
                raise ValueError(f"pools[{name!r}] holds {deployment.model!r} twice: give it once, with a weight")
            seen.add(where)


def check_prices(pools: Mapping[str, Sequence[Deployment]], costs: DeploymentCosts, clients: PriceBook | None) -> None:
    """Check that all deployments have a price, be it in the client's book. :raises ValueError: one has none"""
    for name, deployments in pools.items():
        for deployment in deployments:
            try:
                costs.check(deployment, clients)
            except ValueError as error:
                raise ValueError(f"pools[{name!r}]: {error}") from None
