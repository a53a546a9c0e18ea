"""Translates machines to EC2's requests, and EC2's answers to machines. Pure."""

from __future__ import annotations

from typing import Any

from ..model import ENDING, GONE, PENDING, PROJECT, RUNNING, STOPPED, Found, Machine, Placement
from ..ttl import user_data

STATES = {
    "pending": PENDING,
    "running": RUNNING,
    "stopping": STOPPED,
    "stopped": STOPPED,
    "shutting-down": ENDING,
    "terminated": GONE,
}


def region_of(zone: str) -> str:
    """us-east-1a -> us-east-1"""
    return zone[:-1] if zone[-1:].isalpha() else zone


def filters(fleet: str | None) -> list[dict[str, Any]]:
    chosen = [{"Name": "tag:project", "Values": [PROJECT]}]
    if fleet is not None:
        chosen.append({"Name": "tag:fleet", "Values": [fleet]})
    return chosen


def labels(item: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags") or []}


def run_instances(
    machine: Machine, placement: Placement, token: str, generation: int, image: str
) -> dict[str, Any]:
    """One machine, tagged in the request itself, so that no machine is ever without labels."""
    tags = [
        {"Key": key, "Value": value}
        for key, value in {"Name": machine.name, **machine.labels(generation)}.items()
    ]
    network = machine.network
    interface: dict[str, Any] = {
        "DeviceIndex": 0,
        "AssociatePublicIpAddress": bool(network.get("public_address", True)),
        "DeleteOnTermination": True,
    }
    subnet = network.get("subnets", {}).get(placement.zone)
    if subnet:
        interface["SubnetId"] = subnet
    if network.get("security_groups"):
        interface["Groups"] = list(network["security_groups"])
    request: dict[str, Any] = {
        "ClientToken": token,
        "ImageId": image,
        "InstanceType": placement.type,
        "MinCount": 1,
        "MaxCount": 1,
        "Placement": {"AvailabilityZone": placement.zone},
        "NetworkInterfaces": [interface],
        "BlockDeviceMappings": [_disk(machine)],
        "UserData": user_data(machine.ttl_seconds, machine.ssh_public_key),
        # The host's own timer powers off, which must terminate the machine, not stop it.
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")
        ],
    }
    if machine.spot:
        request["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {
                "SpotInstanceType": "one-time",
                "InstanceInterruptionBehavior": "terminate",
            },
        }
    return request


def _disk(machine: Machine) -> dict[str, Any]:
    disk = machine.disk
    volume: dict[str, Any] = {
        "VolumeSize": disk.size_gib,
        "VolumeType": disk.type or "gp3",
        "DeleteOnTermination": True,
    }
    if disk.iops:
        volume["Iops"] = disk.iops
    if disk.throughput:
        volume["Throughput"] = disk.throughput
    return {"DeviceName": machine.image.get("root_device", "/dev/sda1"), "Ebs": volume}


def found(instance: dict[str, Any], region: str) -> Found:
    tags = labels(instance)
    return Found(
        id=instance["InstanceId"],
        name=tags.get("Name", instance["InstanceId"]),
        zone=instance.get("Placement", {}).get("AvailabilityZone", ""),
        region=region,
        type=instance.get("InstanceType", ""),
        state=STATES.get(instance.get("State", {}).get("Name", ""), PENDING),
        labels=tags,
        created_at=instance.get("LaunchTime"),
        public_address=instance.get("PublicIpAddress") or "",
        private_address=instance.get("PrivateIpAddress") or "",
        spot=instance.get("InstanceLifecycle") == "spot",
    )
