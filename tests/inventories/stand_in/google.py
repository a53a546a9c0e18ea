"""Compute Engine's instances.aggregatedList and OAuth's token endpoint, as documented."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOSTS = ["www.googleapis.com", "compute.googleapis.com", "oauth2.googleapis.com"]
PROJECT = "dlrm-fleet"
TOKEN = "google-test-token"
# What Compute Engine says a project's id must match (without the domain-scoped form).
PROJECT_ID = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
API = "https://www.googleapis.com/compute/v1"


def machine(
    name: str,
    machine_type: str,
    labels: dict[str, str] | None,
    *,
    zone: str = "us-central1-a",
    architecture: str = "ARM64",
    status: str = "RUNNING",
    private: str = "10.128.0.2",
    public: str | None = None,
) -> dict[str, Any]:
    """One instance as the API shows it; a machine without labels has no such key."""
    region = zone.rsplit("-", 1)[0]
    interface: dict[str, Any] = {
        "network": f"{API}/projects/{PROJECT}/global/networks/default",
        "subnetwork": f"{API}/projects/{PROJECT}/regions/{region}/subnetworks/default",
        "networkIP": private,
        "name": "nic0",
    }
    if public:
        interface["accessConfigs"] = [{"type": "ONE_TO_ONE_NAT", "natIP": public}]
    scratch = {"boot": False, "type": "SCRATCH", "interface": "NVME"}
    boot = {"boot": True, "architecture": architecture, "type": "PERSISTENT"}
    found: dict[str, Any] = {
        "kind": "compute#instance",
        "name": name,
        "status": status,
        "zone": f"{API}/projects/{PROJECT}/zones/{zone}",
        "machineType": f"{API}/projects/{PROJECT}/zones/{zone}/machineTypes/{machine_type}",
        "selfLink": f"{API}/projects/{PROJECT}/zones/{zone}/instances/{name}",
        "networkInterfaces": [interface],
        "disks": [scratch, boot],
        "metadata": {"items": [{"key": "enable-oslogin", "value": "TRUE"}]},
    }
    if labels is not None:
        found["labels"] = labels
    return found


FLEET = [
    machine(
        "gcp-bench-arm",
        "c4a-highmem-32",
        {"project": "dlrm-fleet", "role": "benchmark"},
        private="10.128.0.2",
        public="203.0.113.2",
    ),
    machine(
        "gcp-bench-x86",
        "c3-standard-22",
        {"project": "dlrm-fleet", "role": "benchmark"},
        zone="europe-west4-b",
        architecture="X86_64",
        private="10.164.0.2",
    ),
    machine(
        "gcp-archive",
        "e2-standard-4",
        {"project": "dlrm-fleet", "role": "storage"},
        architecture="X86_64",
        private="10.128.0.3",
        public="203.0.113.3",
    ),
    machine(
        "gcp-stopped",
        "c4a-highmem-32",
        {"project": "dlrm-fleet", "role": "benchmark"},
        status="TERMINATED",
    ),
    machine("gcp-foreign", "n2-standard-2", None, architecture="X86_64"),
    machine("gcp-other-project", "n2-standard-2", {"project": "billing", "role": "storage"}),
]


def answer(
    host: str, method: str, url: str, headers: dict[str, str], body: bytes
) -> tuple[int, Any]:
    """Status and JSON document for one request."""
    path = urlsplit(url).path
    if host == "oauth2.googleapis.com" and method == "POST" and path == "/token":
        return 200, {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
    if headers.get("authorization") != f"Bearer {TOKEN}":
        return _error(401, "Request had invalid authentication credentials.")
    project = path.removeprefix("/compute/v1/projects/").removesuffix("/aggregated/instances")
    if not re.fullmatch(PROJECT_ID, project):
        return _error(
            400,
            f"Invalid value for field 'project': '{project}'. "
            f"Must be a match of regex '{PROJECT_ID}'",
        )
    if project != PROJECT:
        return _error(404, f"The resource 'projects/{project}' was not found")
    query = parse_qs(urlsplit(url).query)
    chosen = [item for item in FLEET if _matches(item, query["filter"][0])]
    # One machine a page: a client that does not follow the pages forgets machines.
    page = int(query.get("pageToken", ["0"])[0])
    items: dict[str, Any] = {"zones/asia-east1-a": {"warning": {"code": "NO_RESULTS_ON_PAGE"}}}
    for item in chosen[page : page + 1]:
        items["zones/" + item["zone"].rsplit("/", 1)[1]] = {"instances": [item]}
    listing: dict[str, Any] = {"kind": "compute#instanceAggregatedList", "items": items}
    if page + 1 < len(chosen):
        listing["nextPageToken"] = str(page + 1)
    return 200, listing


def _matches(item: dict[str, Any], expression: str) -> bool:
    """A filter of the form (a.b = "x") (c = "y"); another form is a mistake in the test."""
    terms = re.findall(r'\(([\w.]+) = "([^"]*)"\)', expression)
    if " ".join(f'({key} = "{value}")' for key, value in terms) != expression:
        raise ValueError(f"filter of an unknown form: {expression!r}")
    for key, wanted in terms:
        found: Any = item
        for part in key.split("."):
            found = found.get(part, {})
        if found != wanted:
            return False
    return True


def _error(code: int, message: str) -> tuple[int, Any]:
    return code, {"error": {"code": code, "message": message, "errors": [{"message": message}]}}
