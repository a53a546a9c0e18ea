"""EC2 by moto, with a fleet, a stopped machine and other people's machines in two regions."""

from __future__ import annotations

import os
from typing import Any

import boto3  # type: ignore[import-untyped]
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.server import ThreadedMotoServer

PORT = 5017
URL = f"http://127.0.0.1:{PORT}"
REGIONS = ["us-east-1", "eu-west-1", "ap-south-1"]

# name, type, tags, region, whether it is then stopped
FLEET: list[tuple[str, str, dict[str, str], str, bool]] = [
    (
        "aws-bench-arm",
        "r8g.8xlarge",
        {"project": "dlrm-fleet", "role": "benchmark"},
        "us-east-1",
        False,
    ),
    (
        "aws-bench-x86",
        "m7i.4xlarge",
        {"project": "dlrm-fleet", "role": "benchmark"},
        "eu-west-1",
        False,
    ),
    ("aws-archive", "m7i.large", {"project": "dlrm-fleet", "role": "storage"}, "us-east-1", False),
    (
        "aws-stopped",
        "r8g.8xlarge",
        {"project": "dlrm-fleet", "role": "benchmark"},
        "us-east-1",
        True,
    ),
    ("aws-foreign", "m7i.large", {}, "us-east-1", False),
    (
        "aws-other-project",
        "m7i.large",
        {"project": "billing", "role": "storage"},
        "eu-west-1",
        False,
    ),
]


def start() -> ThreadedMotoServer:
    """Start moto and make the fleet; the caller stops it."""
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
    # The account has three regions, because the plugin reads each, which takes a second.
    RegionsAndZonesBackend.regions = [
        region for region in RegionsAndZonesBackend.regions if region.name in REGIONS
    ]
    server = ThreadedMotoServer("127.0.0.1", PORT, verbose=False)
    server.start()
    for name, machine_type, tags, region, stopped in FLEET:
        run_machine(name, machine_type, tags, region, stopped)
    return server


def run_machine(
    name: str | None, machine_type: str, tags: dict[str, str], region: str, stopped: bool = False
) -> str:
    """Starts one machine of the wanted ISA; returns the id that EC2 gave it."""
    client: Any = boto3.client("ec2", region_name=region, endpoint_url=URL)
    named = dict(tags) if name is None else {"Name": name, **tags}
    specification = [
        {
            "ResourceType": "instance",
            "Tags": [{"Key": key, "Value": value} for key, value in named.items()],
        }
    ]
    image = _image(client, "arm64" if machine_type.split(".")[0].endswith("g") else "x86_64")
    made = client.run_instances(
        ImageId=image,
        InstanceType=machine_type,
        MinCount=1,
        MaxCount=1,
        **({"TagSpecifications": specification} if named else {}),
    )
    machine_id: str = made["Instances"][0]["InstanceId"]
    if stopped:
        client.stop_instances(InstanceIds=[machine_id])
    return machine_id


def _image(client: Any, architecture: str) -> str:
    """An image of the ISA; the machine takes its architecture from it."""
    images = client.describe_images(Filters=[{"Name": "architecture", "Values": [architecture]}])
    if images["Images"]:
        return str(images["Images"][0]["ImageId"])
    return str(
        client.register_image(
            Name=f"debian-{architecture}", Architecture=architecture, RootDeviceName="/dev/sda1"
        )["ImageId"]
    )
