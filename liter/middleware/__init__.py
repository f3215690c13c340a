"""Layers, one to a file. Compose them with :class:`liter.Stack`, outermost first."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .._circuit import CircuitPolicy as CircuitPolicy
    from .._circuit_scope import CircuitClosed as CircuitClosed
    from .._circuit_scope import CircuitOpened as CircuitOpened
    from .._circuit_scope import CoolingDown as CoolingDown
    from .._circuit_share import CircuitStoreFailed as CircuitStoreFailed
    from .._events import Retrying as Retrying
    from ._budget import Budget as Budget
    from ._budget_account import BudgetSettled as BudgetSettled
    from ._budget_account import BudgetStatus as BudgetStatus
    from ._budget_account import BudgetStoreFailed as BudgetStoreFailed
    from ._budget_account import BudgetThreshold as BudgetThreshold
    from ._budget_limit import SpendLimit as SpendLimit
    from ._cache import Cache as Cache
    from ._cache_events import CacheHit as CacheHit
    from ._cache_events import CacheMiss as CacheMiss
    from ._cache_events import CacheStoreFailed as CacheStoreFailed
    from ._cache_semantic import CacheEmbedFailed as CacheEmbedFailed
    from ._cache_semantic import Semantic as Semantic
    from ._circuit_breaker import CircuitBreaker as CircuitBreaker
    from ._concurrency import Concurrency as Concurrency
    from ._cost_tracking import CostTracking as CostTracking
    from ._deployment import Deployment as Deployment
    from ._fallback import Fallback as Fallback
    from ._fallback import FallingBack as FallingBack
    from ._fallback_target import Target as Target
    from ._fallback_target import may_work_elsewhere as may_work_elsewhere
    from ._guardrail_rule import Rule as Rule
    from ._guardrails import Guardrails as Guardrails
    from ._guardrails import RuleMatched as RuleMatched
    from ._hedge import Hedge as Hedge
    from ._hedge import Hedging as Hedging
    from ._hooks import Hooks as Hooks
    from ._ledger import Ledger as Ledger
    from ._ledger import LedgerFailed as LedgerFailed
    from ._mock import Mock as Mock
    from ._rate_limit import RateLimit as RateLimit
    from ._rate_limit_gate import RateLimitStoreFailed as RateLimitStoreFailed
    from ._rate_limit_gate import RateLimitWaiting as RateLimitWaiting
    from ._rate_limit_rule import Limit as Limit
    from ._retry import Retry as Retry
    from ._retry_budget import RetryBudget as RetryBudget
    from ._router import Picked as Picked
    from ._router import Router as Router
    from ._timeout import Timeout as Timeout
    from ._tracing import Tracing as Tracing
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            ".._circuit": "CircuitPolicy",
            ".._circuit_scope": "CircuitClosed CircuitOpened CoolingDown",
            ".._circuit_share": "CircuitStoreFailed",
            ".._events": "Retrying",
            "._budget": "Budget",
            "._budget_account": "BudgetSettled BudgetStatus BudgetStoreFailed BudgetThreshold",
            "._budget_limit": "SpendLimit",
            "._cache": "Cache",
            "._cache_events": "CacheHit CacheMiss CacheStoreFailed",
            "._cache_semantic": "CacheEmbedFailed Semantic",
            "._circuit_breaker": "CircuitBreaker",
            "._concurrency": "Concurrency",
            "._cost_tracking": "CostTracking",
            "._deployment": "Deployment",
            "._fallback": "Fallback FallingBack",
            "._fallback_target": "Target may_work_elsewhere",
            "._guardrail_rule": "Rule",
            "._guardrails": "Guardrails RuleMatched",
            "._hedge": "Hedge Hedging",
            "._hooks": "Hooks",
            "._ledger": "Ledger LedgerFailed",
            "._mock": "Mock",
            "._rate_limit": "RateLimit",
            "._rate_limit_gate": "RateLimitStoreFailed RateLimitWaiting",
            "._rate_limit_rule": "Limit",
            "._retry": "Retry",
            "._retry_budget": "RetryBudget",
            "._router": "Picked Router",
            "._timeout": "Timeout",
            "._tracing": "Tracing",
        },
    )


__all__ = [
    "Budget",
    "BudgetSettled",
    "BudgetStatus",
    "BudgetStoreFailed",
    "BudgetThreshold",
    "Cache",
    "CacheEmbedFailed",
    "CacheHit",
    "CacheMiss",
    "CacheStoreFailed",
    "CircuitBreaker",
    "CircuitClosed",
    "CircuitOpened",
    "CircuitPolicy",
    "CircuitStoreFailed",
    "Concurrency",
    "CoolingDown",
    "CostTracking",
    "Deployment",
    "Fallback",
    "FallingBack",
    "Guardrails",
    "Hedge",
    "Hedging",
    "Hooks",
    "Ledger",
    "LedgerFailed",
    "Limit",
    "Mock",
    "Picked",
    "RateLimit",
    "RateLimitStoreFailed",
    "RateLimitWaiting",
    "Retry",
    "RetryBudget",
    "Retrying",
    "Router",
    "Rule",
    "RuleMatched",
    "Semantic",
    "SpendLimit",
    "Target",
    "Timeout",
    "Tracing",
    "may_work_elsewhere",
]
