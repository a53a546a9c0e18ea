"""One interface for all stand-ins: the conformance suite knows no cloud. Add a third one here."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
from ansible.module_utils.dlrm_fleet.cloud import desired
from ansible.module_utils.dlrm_fleet.cloud.aws.provider import Aws
from ansible.module_utils.dlrm_fleet.cloud.gcp.provider import Gcp
from ansible.module_utils.dlrm_fleet.cloud.model import Found, Machine
from ansible.module_utils.dlrm_fleet.cloud.provider import Provider
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .stand_in.aws import AwsServer, backend, instances
from .stand_in.faults import CREATE, Call, Fault, Rule
from .stand_in.gcp import PROJECT, GcpServer

FLEET = "bench"
UNIVERSE = "stand-in.test"
TTL = 7200
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJvZ3VzYm9ndXNib2d1c2JvZ3VzYm9ndXNib2d1c2JvZ3Vz"


class World:
    """`zones`: three in order; `type`: one the cloud knows; `create_action`: a policy's name."""

    name: str
    zones: tuple[str, ...]
    type: str
    create_action: str
    quota_name: str
    server: Any

    def group(self, count: int, **changes: Any) -> dict[str, Any]:
        raise NotImplementedError

    def provider(self) -> Provider:
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """The modules' options of this cloud."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """What a process needs to sign in."""
        raise NotImplementedError

    def new_provider(self) -> Provider:
        """A new provider, signed in."""
        return self.provider()

    def listed(self) -> list[Found]:
        """The fleet's machines, as the cloud shows them now."""
        return [item for item in self.provider().list_machines(FLEET) if item.live]

    def age_requests(self, seconds: float) -> None:
        """Move all earlier requests this far into the past."""

    def quota_after(self, times: int, made: list[int]) -> Rule:
        """A rule: this many creations succeed, then the quota is used up."""

        def rule(call: Call) -> Fault | None:
            if call.action != CREATE:
                return None
            made[0] += 1
            return Fault("quota") if made[0] > times else None

        return rule

    def sign_out(self) -> dict[str, str]:
        """Remove the credentials."""
        raise NotImplementedError

    def add_stranger(self, name: str, labels: dict[str, str]) -> None:
        raise NotImplementedError

    def end_by_hand(self, name: str) -> None:
        raise NotImplementedError

    def add_leftovers(self, labels: dict[str, str]) -> None:
        """Add a disk and an address that nothing uses."""
        raise NotImplementedError

    def show_host_key(self, name: str, key: str) -> None:
        raise NotImplementedError

    def machines(self, count: int, **changes: Any) -> list[Machine]:
        return desired.machines(FLEET, {"arm": self.group(count, **changes)}, ["arm"], TTL)


class AwsWorld(World):
    name = "aws"
    zones = ("us-east-1a", "us-east-1b", "us-east-1c")
    type = "r8g.8xlarge"
    create_action = "ec2:RunInstances"
    quota_name = "Running On-Demand Standard instances"
    role = "arn:aws:iam::123456789012:role/dlrm-fleet-ttl"

    def __init__(self, folder: Path) -> None:
        self.server = AwsServer()
        self.folder = folder
        self.server.reset()
        self._provider: Provider | None = None

    def group(self, count: int, **changes: Any) -> dict[str, Any]:
        return {
            "types": [self.type], "zones": list(self.zones), "count": count, "ssh_user": "ubuntu",
            "ssh_public_key": KEY, "disk": {"size_gib": 500, "throughput": 500, "iops": 6000},
            "image": {"owner": "self", "family": "jammy-arm64", "architecture": "arm64"},
            **changes,
        }  # fmt: skip

    def provider(self) -> Provider:
        # Making boto3's clients takes a second. They hold no state of the product, so share them.
        if self._provider is None:
            self._provider = Aws(["us-east-1"], self.role, self.server.url)
        self._provider._images.clear()  # type: ignore[attr-defined]
        return self._provider

    def new_provider(self) -> Provider:
        return Aws(["us-east-1"], self.role, self.server.url)

    def settings(self) -> dict[str, Any]:
        return {"cloud": "aws", "regions": ["us-east-1"], "scheduler_role": self.role,
                "endpoint_url": self.server.url}  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere",
                "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}  # fmt: skip

    def sign_out(self) -> dict[str, str]:
        return {k: v for k, v in self.environment().items() if "ACCESS" not in k}

    def add_stranger(self, name: str, labels: dict[str, str]) -> None:
        client = boto3.client("ec2", region_name="us-east-1", endpoint_url=self.server.url)
        image = client.describe_images(Owners=["self"])["Images"][0]["ImageId"]
        tags = [{"Key": key, "Value": value} for key, value in {"Name": name, **labels}.items()]
        client.run_instances(
            ImageId=image, InstanceType="m7i.large", MinCount=1, MaxCount=1,
            Placement={"AvailabilityZone": "us-east-1a"},
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )  # fmt: skip

    def end_by_hand(self, name: str) -> None:
        mine = [
            instance.id
            for instance in instances("us-east-1")
            if any(tag["key"] == "Name" and tag["value"] == name for tag in instance.get_tags())
        ]
        assert mine, f"there is no machine {name}"
        backend("ec2", "us-east-1").terminate_instances(mine)

    def add_leftovers(self, labels: dict[str, str]) -> None:
        ec2 = backend("ec2", "us-east-1")
        ec2.create_volume(10, "us-east-1a").add_tags(labels)
        ec2.allocate_address("vpc", tags=labels)

    def show_host_key(self, name: str, key: str) -> None:
        self.server.application.console[name] = key


class GcpWorld(World):
    name = "gcp"
    zones = ("us-central1-a", "us-central1-b", "us-central1-c")
    type = "c4a-highmem-32"
    create_action = "compute.instances.create"
    quota_name = "C4A_CPUS"

    def __init__(self, folder: Path) -> None:
        self.server = GcpServer()
        self.folder = folder
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        # A service account that opens nothing; the client signs its own tokens with it. Of another
        # universe: for googleapis.com the library asks Google which regions it may use.
        account = {"type": "service_account", "project_id": PROJECT, "private_key_id": "x",
                   "private_key": pem.decode(), "client_email": "x@test.example",
                   "client_id": "1", "universe_domain": UNIVERSE,
                   "token_uri": self.server.url + "/token"}  # fmt: skip
        (folder / "account.json").write_text(json.dumps(account))

    def group(self, count: int, **changes: Any) -> dict[str, Any]:
        return {
            "types": [self.type], "zones": list(self.zones), "count": count, "ssh_user": "ubuntu",
            "ssh_public_key": KEY, "disk": {"size_gib": 500, "throughput": 500, "iops": 6000},
            "image": {"project": "ubuntu-os-cloud", "family": "ubuntu-2204-lts-arm64"},
            **changes,
        }  # fmt: skip

    def provider(self) -> Provider:
        return Gcp(PROJECT, [], self.server.url)

    def settings(self) -> dict[str, Any]:
        return {"cloud": "gcp", "project": PROJECT, "endpoint_url": self.server.url}

    def environment(self) -> dict[str, str]:
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.folder / "account.json"),
            "GOOGLE_CLOUD_UNIVERSE_DOMAIN": UNIVERSE,
            "NO_GCE_CHECK": "true",
        }

    def age_requests(self, seconds: float) -> None:
        for operation in self.server.operations.values():
            begun = datetime.fromisoformat(operation["insertTime"]) - timedelta(seconds=seconds)
            operation["insertTime"] = begun.isoformat(timespec="milliseconds")

    def sign_out(self) -> dict[str, str]:
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(self.folder / "nowhere.json")}

    def add_stranger(self, name: str, labels: dict[str, str]) -> None:
        self.server.make("us-central1-a", {"name": name, "labels": labels,
                         "machineType": "zones/us-central1-a/machineTypes/e2-small"})  # fmt: skip

    def end_by_hand(self, name: str) -> None:
        for key in [key for key in self.server.machines if key[1] == name]:
            self.server.end(key)

    def add_leftovers(self, labels: dict[str, str]) -> None:
        where = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}"
        self.server.disks["us-central1-a", "old"] = {
            "name": "old", "labels": labels, "zone": f"{where}/zones/us-central1-a"}  # fmt: skip
        self.server.addresses["us-central1", "old"] = {
            "name": "old", "labels": labels, "region": f"{where}/regions/us-central1"}  # fmt: skip

    def show_host_key(self, name: str, key: str) -> None:
        kind, value = key.split()
        self.server.host_keys[name] = {kind: value}


WORLDS = {"aws": AwsWorld, "gcp": GcpWorld}
