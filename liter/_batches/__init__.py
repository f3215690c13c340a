"""Batches: requests written down and sent, waited for, and their results read."""

from ._results import BatchResult as BatchResult
from ._results import BatchResults as BatchResults
from ._wait import wait_for_batch as wait_for_batch
