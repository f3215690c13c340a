"""Strategies: which of a pool's members gets the next call."""

import hashlib
import math
from collections.abc import Sequence
from random import Random
from typing import Literal, TypeVar

from .._contract import Call
from ._deployment import Member
from ._deployment_cost import DeploymentCosts, usage_of

R = TypeVar("R")

Strategy = Literal["weighted", "round_robin", "least_in_flight", "latency", "cheapest"]

# One call in 200 goes to any member whatever its latency, or one that was slow once would never be seen to have
# become fast. Half of the one in a hundred that a 99th percentile is made of.
_EXPLORE = 1 / 200


class Balance:
    """Chooses among members; none of its methods takes time.

    :param random: where chance comes from
    :param costs: what calls cost
    """

    __slots__ = ("_costs", "_random", "_strategy")

    def __init__(self, strategy: Strategy, random: Random, costs: DeploymentCosts) -> None:
        self._strategy = strategy
        self._costs = costs
        self._random = random

    def choose(self, members: Sequence[Member], call: Call[R]) -> Member:
        """Return one of ``members``, of which there is at least one, for ``call``."""
        if len(members) == 1:
            return members[0]
        if self._strategy == "weighted":
            return self._weighted(members)
        if self._strategy == "round_robin":
            return _round_robin(members)
        if self._strategy == "least_in_flight":
            return self._least(members)
        if self._strategy == "cheapest":
            return self._cheapest(members, call)
        return self._latency(members, stream=call.stream)

    def _weighted(self, members: Sequence[Member]) -> Member:
        # As random.choices does it, for a third of its cost.
        at = self._random.random() * sum([member.deployment.weight for member in members])
        for member in members:
            at -= member.deployment.weight
            if at < 0:
                return member
        return members[-1]

    def _least(self, members: Sequence[Member]) -> Member:
        least = min(_load(member) for member in members)
        return self._weighted([member for member in members if _load(member) == least])

    def _cheapest(self, members: Sequence[Member], call: Call[R]) -> Member:
        usage, cost = usage_of(call), self._costs.cost
        costs = [cost(member.deployment, call, usage) for member in members]
        least = min(costs)
        return self._weighted([member for member, cost in zip(members, costs, strict=True) if cost == least])

    def _latency(self, members: Sequence[Member], *, stream: bool) -> Member:
        # One at a time: a crowd must not wait for what may be slow, or fail.
        untried = [member for member in members if member.unknown(stream=stream) and not member.health.in_flight]
        if untried:
            return self._weighted(untried)
        if self._random.random() < _EXPLORE:
            return self._weighted(members)
        working = [member for member in members if member.health.estimate(stream=stream).works] or members
        first = self._weighted(working)
        others = [member for member in working if member is not first]
        if not others:
            return first
        second = self._weighted(others)
        return min(first, second, key=lambda member: (member.health.estimate(stream=stream).cost, _load(member)))


def _load(member: Member) -> float:
    return member.health.in_flight / member.deployment.weight


def _round_robin(members: Sequence[Member]) -> Member:
    # nginx's smooth weighted round robin: with weights 2, 1, 1 it gives a b c a, and not a a b c.
    for member in members:
        member.credit += member.deployment.weight
    chosen = max(members, key=lambda member: member.credit)
    chosen.credit -= sum(member.deployment.weight for member in members)
    return chosen


def stick(members: Sequence[Member], value: str) -> Member:
    """Return the same member for the same value, as long as it is there: weighted rendezvous hashing.

    When one is missing only its own values move, and in proportion to the weights of the others
    (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", SPAA 2005).
    """
    return max(members, key=lambda member: _score(member, value))


def _score(member: Member, value: str) -> float:
    digest = hashlib.blake2b(f"{member.label}\n{value}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    uniform = (int.from_bytes(digest) + 1) / (2**64 + 1)
    return -member.deployment.weight / math.log(uniform)
