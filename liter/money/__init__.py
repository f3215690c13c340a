"""What calls cost: exact amounts, and how they came about."""

from ._cost import Cost as Cost
