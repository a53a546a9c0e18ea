"""Translates machines to Compute Engine's documents and back. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ..model import ENDING, PENDING, PROJECT, RUNNING, STOPPED, Found, Machine, Placement
from ..ttl import user_data

STATES = {
    "PROVISIONING": PENDING,
    "STAGING": PENDING,
    "REPAIRING": PENDING,
    "RUNNING": RUNNING,
    "SUSPENDING": STOPPED,
    "SUSPENDED": STOPPED,
    "STOPPING": ENDING,
    # It becomes TERMINATED, or it vanishes.
    "DEPROVISIONING": ENDING,
    "TERMINATED": STOPPED,
}


def region_of(zone: str) -> str:
    """us-central1-a -> us-central1"""
    return zone.rsplit("-", 1)[0]


def filters(fleet: str | None) -> str:
    terms = [f'(labels.project = "{PROJECT}")']
    if fleet is not None:
        terms.append(f'(labels.fleet = "{fleet}")')
    return " ".join(terms)


def instance(machine: Machine, placement: Placement, generation: int) -> dict[str, Any]:
    """The request itself holds the machine's labels, its disk's labels and its end."""
    labels = machine.labels(generation)
    zone = f"zones/{placement.zone}"
    disk: dict[str, Any] = {
        "disk_size_gb": machine.disk.size_gib,
        "disk_type": f"{zone}/diskTypes/{machine.disk.type or 'hyperdisk-balanced'}",
        "source_image": machine.image.get("id")
        or f"projects/{machine.image['project']}/global/images/family/{machine.image['family']}",
        "labels": labels,
    }
    if machine.disk.iops:
        disk["provisioned_iops"] = machine.disk.iops
    if machine.disk.throughput:
        disk["provisioned_throughput"] = machine.disk.throughput
    scheduling: dict[str, Any] = {
        "max_run_duration": {"seconds": machine.ttl_seconds},
        "instance_termination_action": "DELETE",
    }
    if machine.spot:
        scheduling.update(provisioning_model="SPOT", automatic_restart=False)
    return {
        "name": machine.name,
        "machine_type": f"{zone}/machineTypes/{placement.type}",
        "labels": labels,
        "disks": [{"boot": True, "auto_delete": True, "initialize_params": disk}],
        "network_interfaces": [_interface(machine, placement)],
        "metadata": {"items": _metadata(machine)},
        "scheduling": scheduling,
        "tags": {"items": list(machine.network.get("tags", []))},
    }


def _interface(machine: Machine, placement: Placement) -> dict[str, Any]:
    network = machine.network
    interface: dict[str, Any] = {}
    subnet = network.get("subnetworks", {}).get(region_of(placement.zone))
    if subnet:
        interface["subnetwork"] = subnet
    else:
        interface["network"] = network.get("network", "global/networks/default")
    if network.get("public_address", True):
        interface["access_configs"] = [{"name": "External NAT", "type_": "ONE_TO_ONE_NAT"}]
    return interface


def _metadata(machine: Machine) -> list[dict[str, str]]:
    values = {
        # The machine writes its host keys to its guest attributes.
        "enable-guest-attributes": "TRUE",
        "block-project-ssh-keys": "TRUE",
        "ssh-keys": f"{machine.ssh_user}:{machine.ssh_public_key}",
        "user-data": user_data(machine.ttl_seconds, machine.ssh_public_key),
    }
    return [{"key": key, "value": value} for key, value in values.items()]


def found(shown: Any) -> Found:
    zone = str(shown.zone).rsplit("/", 1)[-1]
    interface = shown.network_interfaces[0] if shown.network_interfaces else None
    access = interface.access_configs[0] if interface and interface.access_configs else None
    created = moment(shown.creation_timestamp)
    seconds = int(shown.scheduling.max_run_duration.seconds)
    ends = shown.scheduling.instance_termination_action == "DELETE" and seconds
    return Found(
        # The cloud may reuse a name, but never an id.
        id=str(shown.id),
        name=str(shown.name),
        zone=zone,
        region=region_of(zone),
        type=str(shown.machine_type).rsplit("/", 1)[-1],
        state=STATES.get(str(shown.status), PENDING),
        labels=dict(shown.labels),
        created_at=created,
        public_address=str(access.nat_i_p) if access else "",
        private_address=str(interface.network_i_p) if interface else "",
        spot=shown.scheduling.provisioning_model == "SPOT",
        protected_until=created + timedelta(seconds=seconds) if ends and created else None,
    )


def moment(text: str) -> datetime | None:
    """RFC 3339 with an offset, as the API writes it."""
    if not text:
        return None
    # Python 3.9 reads no Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
