"""AWS: list prices of machines, disks and addresses."""

from __future__ import annotations

from typing import Any

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
