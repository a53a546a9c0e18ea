"""AWS: its prices, sizes and settings, known without a call to its API."""

from __future__ import annotations

from typing import Any

from ...base.errors import FleetError
from ..provider import Access, Cloud, need
from .provider import Aws
from .sizes import gib_per_vcpu, vcpus

DEFAULT_REGIONS = ["us-east-1"]
# On-demand prices in USD of us-east-1. They change: compare them with AWS's own calculator.
# dlrm_instances_prices replaces this table.
PRICES: dict[str, Any] = {
    "as_of": "2026-11",
    "note": "unverified, compare with the cloud's own list",
    "aws": {
        "region": "us-east-1",
        "machines": {
            "r8g.8xlarge": 1.885,
            "r8g.16xlarge": 3.770,
            "r8g.24xlarge": 5.658,
            "r7i.8xlarge": 2.117,
            "r7i.16xlarge": 4.234,
        },
        "disk": {
            "gib_month": 0.08,
            "free_iops": 3000,
            "iops_month": 0.005,
            "free_throughput": 125,
            "throughput_month": 0.04,
        },
        "address_hour": 0.005,
    },
}


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
