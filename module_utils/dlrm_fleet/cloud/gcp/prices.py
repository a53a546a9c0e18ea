"""Google Cloud: list prices of machines, disks and addresses."""

from __future__ import annotations

from typing import Any

# On-demand prices in USD of us-central1. They change: compare them with Google's own calculator.
# dlrm_instances_prices replaces this table.
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
