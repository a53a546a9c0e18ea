"""The provider of a cloud's name. Each is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base.errors import FleetError
from .provider import Provider

CLOUDS = ("aws", "gcp")


def make(
    cloud: str,
    regions: Sequence[str] = (),
    project: str = "",
    scheduler_role: str = "",
    endpoint_url: str = "",
) -> Provider:
    """`regions` are needed on AWS, `project` on Google. FleetError for a cloud nobody knows."""
    if cloud == "aws":
        from .aws.provider import Aws

        _need("regions", regions, "the regions to look at", "dlrm_instances_aws_regions")
        return Aws(regions, scheduler_role, endpoint_url)
    if cloud == "gcp":
        from .gcp.provider import Gcp

        _need("project", project, "the project's id", "dlrm_instances_gcp_project")
        return Gcp(project, regions or (), endpoint_url)
    raise FleetError(f"there is no cloud {cloud!r}", f"known: {', '.join(CLOUDS)}")


def _need(name: str, value: Any, what: str, variable: str) -> None:
    if not value:
        raise FleetError(f"{name} is missing", f"it names {what}", f"Set {variable}")
