"""Google Cloud: its prices, sizes and settings, known without a call to its API."""

from __future__ import annotations

from ..provider import Access, Cloud, need
from .prices import PRICES
from .provider import Gcp
from .sizes import gib_per_vcpu, vcpus


def open_(access: Access) -> Gcp:
    """Without regions, all regions of the project are used. Raises FleetError without a project."""
    need("project", access.project, "the project's id", "dlrm_instances_gcp_project")
    return Gcp(access.project, access.regions or (), access.endpoint_url)


GCP = Cloud(
    name="gcp",
    open=open_,
    # Nothing to check: the request that creates a machine also sets its end.
    check_creation=lambda _access: None,
    vcpus=vcpus,
    gib_per_vcpu=gib_per_vcpu,
    ended_by=("maxRunDuration with DELETE, fixed at creation", "its own timer (only powers off)"),
    still_bills="nothing once deleted; if only the host's own timer fired, the disk until it is"
    " deleted",
    prices=PRICES,
)
