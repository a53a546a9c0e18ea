"""The clouds. A cloud is one folder beside this file and one inventory, registered here alone."""

from __future__ import annotations

from collections.abc import Sequence

from ..base.errors import FleetError
from .aws.cloud import AWS
from .gcp.cloud import GCP
from .provider import Access, Cloud, Provider

CLOUDS: dict[str, Cloud] = {cloud.name: cloud for cloud in (AWS, GCP)}


def find(name: str) -> Cloud:
    """Raises FleetError where no cloud has this name."""
    if name not in CLOUDS:
        raise FleetError(f"there is no cloud {name!r}", f"the clouds are {', '.join(CLOUDS)}")
    return CLOUDS[name]


def make(
    cloud: str,
    regions: Sequence[str] | None = None,
    project: str = "",
    scheduler_role: str = "",
    endpoint_url: str = "",
) -> Provider:
    """Raises FleetError for an unknown cloud, or if an option that this cloud needs is missing."""
    return find(cloud).open(Access(regions, project, scheduler_role, endpoint_url))
