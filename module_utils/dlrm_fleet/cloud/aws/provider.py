"""The provider for AWS: EC2, and one-time schedules of EventBridge Scheduler."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ...base.errors import FleetError
from ..errors import EXISTS, NOT_FOUND, STALE, UNKNOWN, CloudError, guarded
from ..host_keys import from_console
from ..model import GONE, Found, Leftover, Machine, Placement, ours
from . import request as aws_request
from .errors import translate
from .quota import explain

# The calls this file makes; docs/clouds/aws-policy.json is generated from them.
ACTIONS = (
    "ec2:CreateTags",
    "ec2:DeleteVolume",
    "ec2:DescribeAddresses",
    "ec2:DescribeImages",
    "ec2:DescribeInstances",
    "ec2:DescribeVolumes",
    "ec2:GetConsoleOutput",
    "ec2:ReleaseAddress",
    "ec2:RunInstances",
    "ec2:TerminateInstances",
    "iam:PassRole",
    "scheduler:CreateSchedule",
    "scheduler:DeleteSchedule",
    "scheduler:ListSchedules",
)
SCHEDULE_PREFIX = "dlrm-fleet-"


class Aws:
    """`scheduler_role`: ARN of the role that EventBridge assumes. Threads share the clients."""

    name = "aws"
    _guard = staticmethod(partial(guarded, translate))

    def __init__(self, regions: Sequence[str], scheduler_role: str, endpoint_url: str = "") -> None:
        try:
            import boto3  # type: ignore[import-untyped,unused-ignore]
            import botocore.config  # type: ignore[import-untyped,unused-ignore]
        except ImportError as error:
            raise FleetError(
                "AWS needs the Python library boto3",
                str(error),
                "Install requirements.txt into the controller's virtual environment",
            ) from error
        self.regions = list(regions)
        self.scheduler_role = scheduler_role
        self._endpoint = endpoint_url or None
        self._session = boto3.Session()
        # No retries here: the state machine retries, with the same token.
        self._config = botocore.config.Config(
            retries={"total_max_attempts": 1}, connect_timeout=20, read_timeout=60,
            max_pool_connections=64,
        )  # fmt: skip
        self._clients: dict[tuple[str, str], Any] = {}
        self._images: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self._image_lock = threading.Lock()

    def _client(self, service: str, region: str) -> Any:
        with self._lock:
            key = (service, region)
            if key not in self._clients:
                self._clients[key] = self._session.client(
                    service, region_name=region, endpoint_url=self._endpoint, config=self._config
                )
            return self._clients[key]

    def _ask(self, action: str, region: str, **arguments: Any) -> Any:
        """One request; `action` as IAM names it."""

        def ask() -> Any:
            client, method = self._method(action, region)
            return getattr(client, method)(**arguments)

        return self._guard(action, ask)

    def _pages(
        self, action: str, region: str, key: str, page_size: int | None = None, **arguments: Any
    ) -> list[Any]:
        """What stands under `key` in all pages of a listing. page_size None: the cloud chooses."""

        def read() -> list[Any]:
            client, method = self._method(action, region)
            paging = {"PageSize": page_size}
            pages = client.get_paginator(method).paginate(PaginationConfig=paging, **arguments)
            return [item for page in pages for item in page.get(key, [])]

        return list(self._guard(action, read))

    def _method(self, action: str, region: str) -> tuple[Any, str]:
        """The client and the name of its method for an action."""
        from botocore import xform_name  # type: ignore[import-untyped,unused-ignore]

        service, name = action.split(":")
        return self._client(service, region), xform_name(name)

    def list_machines(self, fleet: str | None) -> list[Found]:
        found: list[Found] = []
        for region in self.regions:
            reservations = self._pages(
                "ec2:DescribeInstances", region, "Reservations", 1000,
                Filters=aws_request.filters(fleet),
            )  # fmt: skip
            here = [
                aws_request.found(instance, region)
                for reservation in reservations
                for instance in reservation["Instances"]
            ]
            here = [item for item in here if ours(item.labels, fleet)]
            if any(item.state != GONE for item in here):
                ends = self._schedules(region, fleet)
                here = [
                    replace(item, protected_until=item.expires_at) if item.id in ends else item
                    for item in here
                ]
            found += here
        return found

    def create(
        self, machine: Machine, placement: Placement, token: str, generation: int
    ) -> Found | None:
        region = aws_request.region_of(placement.zone)
        image = self._image(machine.image, region)
        arguments = aws_request.run_instances(machine, placement, token, generation, image)
        answer = self._ask("ec2:RunInstances", region, **arguments)
        made = aws_request.found(answer["Instances"][0], region)
        if not made.live:
            raise CloudError(STALE, f"{made.id} has ended", action="ec2:RunInstances")
        return made

    def protect(self, found: Found, until: datetime) -> None:
        moment = until.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        try:
            self._ask(
                "scheduler:CreateSchedule", found.region, Name=_schedule_name(found),
                ScheduleExpression=f"at({moment})", ScheduleExpressionTimezone="UTC",
                FlexibleTimeWindow={"Mode": "OFF"}, ActionAfterCompletion="DELETE",
                Description=f"End of {found.name}", ClientToken=_schedule_name(found),
                Target={
                    "Arn": "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances",
                    "RoleArn": self.scheduler_role,
                    "Input": json.dumps({"InstanceIds": [found.id]}),
                },
            )  # fmt: skip
        except CloudError as error:
            if error.kind != EXISTS:
                raise

    def delete(self, machines: Sequence[Found]) -> None:
        for region in sorted({item.region for item in machines}):
            ids = [item.id for item in machines if item.region == region]
            try:
                self._ask("ec2:TerminateInstances", region, InstanceIds=ids)
            except CloudError as error:
                if error.kind != NOT_FOUND:
                    raise
                # EC2 refuses the whole batch if one of its machines is gone.
                for one in ids if len(ids) > 1 else []:
                    self.delete([item for item in machines if item.id == one])

    def leftovers(self, fleet: str | None) -> list[Leftover]:
        found: list[Leftover] = []
        for region in self.regions:
            chosen = aws_request.filters(fleet)
            volumes = self._pages("ec2:DescribeVolumes", region, "Volumes", Filters=chosen)
            addresses = self._ask("ec2:DescribeAddresses", region, Filters=chosen)["Addresses"]
            found += [
                Leftover("volume", item["VolumeId"], region, labels)
                for item in volumes
                if ours(labels := aws_request.labels(item), fleet)
            ]
            found += [
                Leftover("address", item["AllocationId"], region, labels)
                for item in addresses
                if ours(labels := aws_request.labels(item), fleet)
            ]
            shown = {item.id: item for item in self.list_machines(fleet)}
            for machine_id, name in self._schedules(region, fleet).items():
                machine = shown.get(machine_id)
                if machine is None or machine.state == GONE:
                    named = machine.labels if machine is not None else {}
                    found.append(Leftover("schedule", name, region, named))
        return found

    def remove(self, leftover: Leftover) -> None:
        call = {
            "volume": ("ec2:DeleteVolume", "VolumeId"),
            "address": ("ec2:ReleaseAddress", "AllocationId"),
            "schedule": ("scheduler:DeleteSchedule", "Name"),
        }[leftover.kind]
        try:
            self._ask(call[0], leftover.place, **{call[1]: leftover.id})
        except CloudError as error:
            if error.kind != NOT_FOUND:
                raise

    def host_keys(self, found: Found) -> list[str]:
        answer = self._ask("ec2:GetConsoleOutput", found.region, InstanceId=found.id, Latest=True)
        return from_console(str(answer.get("Output", "")))

    def quota(self, error: CloudError, machine: Machine, placement: Placement) -> CloudError:
        region = aws_request.region_of(placement.zone)
        try:
            running = self._pages(
                "ec2:DescribeInstances", region, "Reservations",
                Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}],
            )  # fmt: skip
        except CloudError:
            running = []
        return explain(error, machine, placement, region, running)

    def _schedules(self, region: str, fleet: str | None) -> dict[str, str]:
        """The schedule's name, by machine id."""
        prefix = SCHEDULE_PREFIX + (f"{fleet}." if fleet else "")
        names = [
            str(item["Name"])
            for item in self._pages(
                "scheduler:ListSchedules", region, "Schedules", 100, NamePrefix=prefix
            )
        ]
        return {
            name.rsplit(".", 1)[1]: name
            for name in names
            if name.startswith(prefix) and name.count(".") == 1
        }

    def _image(self, image: dict[str, str], region: str) -> str:
        """The given id, or else the newest image of the owner whose name matches."""
        if image.get("id"):
            return image["id"]
        key = (region, json.dumps(image, sort_keys=True))
        # One request, however many machines start together.
        with self._image_lock:
            return self._newest_image(image, region, key)

    def _newest_image(self, image: dict[str, str], region: str, key: tuple[str, str]) -> str:
        if key not in self._images:
            architecture = image.get("architecture", "")
            images = self._pages(
                "ec2:DescribeImages", region, "Images", Owners=[image.get("owner", "")],
                Filters=[
                    {"Name": "name", "Values": [image.get("family", "")]},
                    {"Name": "architecture", "Values": [architecture]},
                    {"Name": "state", "Values": ["available"]},
                ],
            )  # fmt: skip
            if not images:
                raise CloudError(
                    UNKNOWN, f"AWS has no image {image.get('family')!r} in {region}",
                    f"owner {image.get('owner')}, architecture {architecture}",
                    "Correct image.owner, image.family and image.architecture of the group",
                    "ec2:DescribeImages",
                )  # fmt: skip
            self._images[key] = max(images, key=lambda item: item["CreationDate"])["ImageId"]
        return self._images[key]


def _schedule_name(found: Found) -> str:
    """At most 64 characters, Scheduler's limit, because desired.py bounds the fleet's name."""
    return f"{SCHEDULE_PREFIX}{found.labels['fleet']}.{found.id}"
