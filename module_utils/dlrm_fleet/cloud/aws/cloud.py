"""AWS: its prices, sizes and settings, known without a call to its API."""

from __future__ import annotations

from ...base.errors import FleetError
from ..provider import Access, Cloud, need
from .prices import PRICES
from .provider import Aws
from .sizes import gib_per_vcpu, vcpus

DEFAULT_REGIONS = ["us-east-1"]


def open_(access: Access) -> Aws:
    """Without regions, DEFAULT_REGIONS are used. Raises FleetError if the list is empty."""
    regions = DEFAULT_REGIONS if access.regions is None else access.regions
    need("regions", regions, "the regions to look at", "dlrm_instances_aws_regions")
    return Aws(regions, access.scheduler_role, access.endpoint_url)


def check_creation(access: Access) -> None:
    """Raises FleetError if the role that ends machines is not set."""
    if not access.scheduler_role:
        raise FleetError(
            "dlrm_instances_aws_scheduler_role is empty",
            "EventBridge Scheduler needs this role to end a machine when the controller is dead",
            "Make the role once (docs/clouds.md), then set this variable to its ARN",
        )


AWS = Cloud(
    name="aws",
    open=open_,
    check_creation=check_creation,
    vcpus=vcpus,
    gib_per_vcpu=gib_per_vcpu,
    ended_by=("a one-time schedule of EventBridge that terminates it", "its own timer"),
    still_bills="nothing: volumes and public address end with the machine",
    prices=PRICES,
)
