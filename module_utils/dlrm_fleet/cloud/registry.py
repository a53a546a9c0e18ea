"""The clouds. A cloud is one folder beside this file and one inventory, registered here alone."""

from __future__ import annotations

from typing import Any

from ..base.errors import FleetError
from .aws.cloud import AWS
from .gcp.cloud import GCP
from .provider import Cloud, Provider

CLOUDS: dict[str, Cloud] = {cloud.name: cloud for cloud in (AWS, GCP)}


def find(name: str) -> Cloud:
    """Raises FleetError where no cloud has this name."""
    if name not in CLOUDS:
        raise FleetError(f"there is no cloud {name!r}", f"known: {', '.join(CLOUDS)}")
    return CLOUDS[name]


def make(settings: dict[str, Any]) -> Provider:
    """`settings`: cloud, regions, project, scheduler_role, endpoint_url."""
    return find(settings["cloud"]).open(settings)
