"""The least-privilege role from the calls the provider makes. Pure.

docs/clouds/gcp-role.json holds it.
"""

from __future__ import annotations

from typing import Any

from .provider import PERMISSIONS


def role() -> dict[str, Any]:
    """A custom role of the project (gcloud iam roles create --file)."""
    return {
        "title": "dlrm-fleet",
        "description": "What dlrm-fleet's controller asks of Compute Engine",
        "stage": "GA",
        "includedPermissions": list(PERMISSIONS),
    }
