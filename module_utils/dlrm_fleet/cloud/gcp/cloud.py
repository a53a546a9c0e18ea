"""Google Cloud: what is known of it without asking it."""

from __future__ import annotations

from typing import Any

from ..provider import Access, Cloud, need
from .provider import Gcp
from .sizes import gib_per_vcpu, vcpus

# On demand, in USD, of us-central1. They change: compare them with Google's own calculator. A table
# of your own goes into dlrm_instances_prices.
PRICES: dict[str, Any] = {
    "as_of": "2026-11",
    "note": "unverified, compare with the cloud's own list",
    "gcp": {
        "region": "us-central1",
        "machines": {
            "c4a-highmem-32": 1.886,
            "c4a-highmem-64": 3.772,
            "c4a-highmem-72": 4.244,
            "c4-highmem-32": 2.085,
        },
        "disk": {
            "gib_month": 0.08,
            "free_iops": 3000,
            "iops_month": 0.005,
            "free_throughput": 140,
            "throughput_month": 0.04,
        },
        "address_hour": 0.005,
    },
}


def open_(access: Access) -> Gcp:
    """No regions given: all of the project."""
    need("project", access.project, "the project's id", "dlrm_instances_gcp_project")
    return Gcp(access.project, access.regions or (), access.endpoint_url)


GCP = Cloud(
    name="gcp",
    open=open_,
    # Each machine carries its own end from the start.
    check_creation=lambda _access: None,
    vcpus=vcpus,
    gib_per_vcpu=gib_per_vcpu,
    ended_by=("maxRunDuration with DELETE, fixed at creation", "its own timer (only powers off)"),
    still_bills="nothing once deleted; if only the host's own timer fired, the disk until it is"
    " deleted",
    prices=PRICES,
)
