"""Addresses of Bedrock's services: one for each region, in each of AWS's partitions."""

import re
from typing import NamedTuple

_RUNTIME = re.compile(r"https://bedrock-runtime(-fips)?\.([a-z0-9-]+)\.amazonaws\.(?:com|com\.cn|eu)")


class _Partition(NamedTuple):
    name: str
    suffix: str


# By the beginning of their regions' names.
_PARTITIONS = {
    "cn-": _Partition("aws-cn", "amazonaws.com.cn"),
    "eusc-": _Partition("aws-eusc", "amazonaws.eu"),
    "us-gov-": _Partition("aws-us-gov", "amazonaws.com"),
}
_PUBLIC = _Partition("aws", "amazonaws.com")


def partition_of(region: str) -> _Partition:
    """The partition of AWS that a region is in: its name in ARNs, and the end of its hosts' names."""
    return next((partition for start, partition in _PARTITIONS.items() if region.startswith(start)), _PUBLIC)


def host_of(base_url: str, service: str = "bedrock-runtime") -> str:
    """The address of one of Bedrock's services, in the region that the runtime's address tells.

    An address that is not AWS's own is for all of them.
    """
    match = _RUNTIME.fullmatch(base_url)
    if match is None:
        return base_url
    fips, region = match.group(1) or "", match.group(2)
    return f"https://{service}{fips}.{region}.{partition_of(region).suffix}"


def region_of(base_url: str) -> str | None:
    """The region that the runtime's address tells."""
    match = _RUNTIME.fullmatch(base_url)
    return match and match.group(2)
