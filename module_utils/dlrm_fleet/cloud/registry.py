"""The provider of a cloud's name. Each is imported only when it is asked for."""

from __future__ import annotations

from typing import Any

from ..base.errors import FleetError
from .provider import Provider

CLOUDS = ("aws", "gcp")


def make(settings: dict[str, Any]) -> Provider:
    """`settings`: cloud, regions, project, scheduler_role, endpoint_url."""
    cloud = settings["cloud"]
    regions = list(settings.get("regions") or [])
    endpoint = str(settings.get("endpoint_url") or "")
    if cloud == "aws":
        from .aws.provider import Aws

        role = str(settings.get("scheduler_role") or "")
        _need("regions", regions, "the regions to look at", "dlrm_instances_aws_regions")
        return Aws(regions, role, endpoint)
    if cloud == "gcp":
        from .gcp.provider import Gcp

        project = str(settings.get("project") or "")
        _need("project", project, "the project's id", "dlrm_instances_gcp_project")
        return Gcp(project, regions, endpoint)
    raise FleetError(f"there is no cloud {cloud!r}", f"known: {', '.join(CLOUDS)}")


def _need(name: str, value: Any, what: str, variable: str) -> None:
    if not value:
        raise FleetError(f"{name} is missing", f"it names {what}", f"Set {variable}")
