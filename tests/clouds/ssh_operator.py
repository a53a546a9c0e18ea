"""Runs the whole command against AWS's stand-in, whose machine is an SSH host of tests/fleet."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.engine import REPOSITORY, docker
from fleet.hosts import STORAGE, USER, Fleet

from .stand_in.aws import Hardware
from .test_conformance import names
from .worlds import FLEET, AwsWorld

NAME = names(1)[0]


class Operator:
    """An operator with the product's inventory, an own storage node, and machines to acquire."""

    def __init__(self, fleet: Fleet, world: AwsWorld) -> None:
        self.fleet, self.world = fleet, world
        self.hosts = dict(
            zip(names(len(fleet.benchmark_hosts)), fleet.benchmark_hosts, strict=True)
        )
        self.host = self.hosts[NAME]
        self.known_hosts = fleet.folder / "known_hosts"
        self.inventory = self._inventory()
        addresses = {name: host.address for name, host in self.hosts.items()}
        world.server.application.hardware = Hardware(addresses, self._power)

    def _power(self, address: str, on: bool) -> None:
        [host] = [host for host in self.hosts.values() if host.address == address]
        if not on:
            # Removing the machine also removes its disk.
            host.shell("rm -rf /srv/dlrm", check=False)
        docker("start" if on else "kill", host.container)

    def show_keys(self) -> None:
        """Shows each machine's own host key on its console."""
        for name, host in self.hosts.items():
            self.world.server.application.console[name] = self.key(host.name)

    def key(self, name: str) -> str:
        return " ".join((self.fleet.keys / f"host-{name}.pub").read_text().split()[:2])

    def _inventory(self) -> Path:
        folder = self.fleet.folder / "inventory"
        for name in ("hosts.yml", "aws_ec2.yml"):
            (folder / name).unlink(missing_ok=True)
        cloud = (REPOSITORY / "inventories/aws/aws_ec2.yml").read_text()
        (folder / "aws_ec2.yml").write_text(cloud + "regions: [us-east-1]\n")
        storage = self.fleet.storage
        self.known_hosts.write_text(f"{storage.address} {self.key(STORAGE)}\n")
        checked = f"-o UserKnownHostsFile={self.known_hosts} -o StrictHostKeyChecking=yes"
        reach = {
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(self.fleet.keys / "login"),
            "ansible_ssh_common_args": checked,
        }
        # The fleet's description names the machine's login user; the machine's tag passes it on.
        group = self.world.group(len(self.hosts), ssh_user=USER)
        mine = {"ansible_host": storage.address, "ansible_user": USER, **reach}
        document = {
            "all": {
                "vars": {
                    "dlrm_instances_fleet_aws": {"arm": group},
                    "dlrm_instances_groups": ["arm"],
                    "dlrm_instances_fleet_name": FLEET,
                    "dlrm_instances_aws_endpoint_url": self.world.server.url,
                    "dlrm_instances_aws_scheduler_role": self.world.role,
                    "dlrm_instances_known_hosts": str(self.known_hosts),
                    # Prepared hosts have one image, from one volume.
                    "dlrm_image_shared": False,
                },
                "children": {
                    "storage": {"hosts": {STORAGE: mine}},
                    "cloud_none": {"hosts": {STORAGE: None}},
                    "cloud_aws": {"vars": reach},
                },
            }
        }
        (folder / "zz_fleet.yml").write_text(json.dumps(document, indent=1) + "\n")
        return folder

    def popen(self, *arguments: str, **variables: object) -> subprocess.Popen[str]:
        asked = self.fleet.command(
            *arguments,
            **{
                "precision": "int8", "profile": "demo", "row_cap": 2000, "data_rows": 4000,
                "min_duration": 2, "run_wait": "5m", "dlrm_budget_usd": 100, **variables,
            },
        )  # fmt: skip
        log = self.fleet.folder / f"run-{len(self.fleet.logs)}.log"
        environment = {**self.world.environment(), "AWS_ENDPOINT_URL": self.world.server.url}
        environment["XDG_STATE_HOME"] = str(self.fleet.folder / "state")
        return self.fleet.popen(asked, log=log, **environment)

    def run(self, *arguments: str, **variables: object) -> tuple[int, str]:
        process = self.popen(*arguments, **variables)
        try:
            code = process.wait(timeout=1500)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return code, " ".join(self.fleet.log_of(process).split())


@contextmanager
def operating(
    cloud: Path, full: Path, name: str, prepared: bool = True, count: int = 1
) -> Iterator[Operator]:
    """An operator with machines to acquire, in folders `cloud` and `full`; all is removed after."""
    world = AwsWorld(cloud)
    fleet = Fleet(full, count=count, name=name, prepared=prepared)
    try:
        fleet.start()
        yield Operator(fleet, world)
    finally:
        fleet.close_connections()
        fleet.remove()
        world.server.stop()
