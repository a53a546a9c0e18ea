"""A fleet: containers as SSH hosts with an engine each, a storage node, an inventory."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import images, owner
from .engine import REPOSITORY, HarnessError, command, docker, wait_until
from .freezer import thaw

STORAGE = "storage-01"
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
#: Measured: 22 hosts start where 128 are allowed.
INOTIFY_A_HOST = 6
STORAGE_KEY = "/etc/dlrm-fleet/storage_key"
USER = "bench"
# What an engine inside needs, short of a privileged container; the cgroup namespace is its own.
CONFINEMENT = [
    *("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--cgroupns", "private", "--tmpfs", "/run", "--tmpfs", "/run/lock"),
]


@dataclass(frozen=True)
class Host:
    """One machine: its inventory name, its container on this machine and its fixed address."""

    name: str
    container: str
    address: str

    def run(self, *arguments: str, check: bool = True, text: str | None = None) -> str:
        """stdout of a command on the host, as its root, past SSH and network."""
        interactive = ["--interactive"] if text is not None else []
        return docker("exec", *interactive, self.container, *arguments, check=check, text=text)

    def shell(self, script: str, check: bool = True) -> str:
        return self.run("bash", "-c", script, check=check)

    def await_shell(self, condition: str, seconds: int = 5) -> str:
        """What the condition prints once it holds, tried by the host itself; empty after a while.

        Looking from outside costs more of this machine than what is looked at.
        """
        tried = f"for _ in $(seq {seconds * 5}); do {{ {condition}; }} && break; sleep 0.2; done"
        return self.shell(tried, check=False).strip()

    def engine(self, *arguments: str, check: bool = True) -> str:
        """A docker command against the host's own engine."""
        return self.run("docker", *arguments, check=check)

    def boot_id(self) -> str:
        """Differs after each restart of the container: its first process is another."""
        form = "{{.State.Pid}} {{.State.StartedAt}} {{.State.Running}}"
        return docker("inspect", "--format", form, self.container).strip()

    def is_up(self) -> bool:
        """Booted, its engine answers and sshd listens."""
        script = (
            "systemctl is-system-running | grep -qE 'running|degraded'"
            " && docker version && ss -Hltn sport = :22 | grep -q ."
        )
        return self.shell(f"({script}) >/dev/null 2>&1 && echo up", check=False).strip() == "up"

    def wait_until_up(self) -> None:
        wait_until(self.is_up, f"{self.name} has booted", pause=0.5)


def _refuse_too_many(hosts: int) -> None:
    """systemd and sshd of a host take some inotify instances; all are root's, of this machine."""
    most, wanted = int(INOTIFY.read_text()), INOTIFY_A_HOST * hosts
    if most < wanted:
        raise HarnessError(
            f"{hosts} hosts need {wanted} inotify instances, this machine allows a user {most}: "
            f"sysctl fs.inotify.max_user_instances={wanted}"
        )


@dataclass
class Fleet:
    """`count` benchmark hosts and a storage node; remove(), or the next start, cleans up."""

    folder: Path
    count: int = 1
    name: str = "fleet"
    prepared: bool = True
    hosts: dict[str, Host] = field(default_factory=dict)
    logs: dict[int, Path] = field(default_factory=dict)

    @property
    def network(self) -> str:
        return f"dlrm-{self.name}-{owner.session()}"

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def storage(self) -> Host:
        return self.hosts[STORAGE]

    @property
    def benchmark_hosts(self) -> list[Host]:
        return [host for host in self.hosts.values() if host.name != STORAGE]

    def start(self) -> None:
        _refuse_too_many(self.count + 1)
        owner.remove_stale()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.keys.mkdir(mode=0o700, exist_ok=True)
        for kind in ("login", "storage"):
            _make_key(self.keys / kind)
        host = images.host_image()
        root, engine = host, None
        if self.prepared:
            root, engine = golden(host, self.folder)
        subnet = self._make_network()
        wanted = [f"bench-{number:02}" for number in range(1, self.count + 1)] + [STORAGE]
        for number, name in enumerate(wanted):
            # The engine takes the first address for itself.
            self._start_host(name, str(subnet[10 + number]), root, engine)
        self._write_known_hosts()
        for one in self.hosts.values():
            one.wait_until_up()
            self._acquaint(one)
        self.write_inventory(self.inventory, self.benchmark_hosts)

    def remove(self) -> None:
        owner.remove(self.name)

    def _make_network(self) -> ipaddress.IPv4Network:
        """The engine knows which subnet is free; named, so that addresses can be fixed."""
        form = "{{(index .IPAM.Config 0).Subnet}}"
        last = ""
        for _attempt in range(5):
            docker("network", "create", *owner.labels(self.name), self.network)
            subnet = docker("network", "inspect", "--format", form, self.network).strip()
            docker("network", "rm", self.network)
            try:
                docker(
                    "network", "create", "--subnet", subnet, *owner.labels(self.name), self.network
                )
            except HarnessError as error:
                # Somebody else took it between the two.
                last = str(error)
                continue
            return ipaddress.IPv4Network(subnet)
        raise HarnessError(f"found no free subnet: {last}")

    def _start_host(self, name: str, address: str, image: str, engine: str | None) -> None:
        container = f"{self.network}-{name}"
        docker("volume", "create", *owner.labels(self.name), container)
        if engine is not None and name != STORAGE:
            images.share_volume(engine, container, image)
        docker(
            *("create", "--name", container, "--hostname", name, *owner.labels(self.name)),
            *("--network", self.network, "--ip", address, *CONFINEMENT),
            *("--volume", f"{container}:/var/lib/docker"),
            *("--env", f"DLRM_TEST_AUTHORIZED_KEY={(self.keys / 'login.pub').read_text().strip()}"),
            *(image, "/sbin/init"),
        )
        # The host key is ours from the beginning: nobody has to believe who answers at an address.
        _make_key(self.keys / f"host-{name}")
        for suffix in ("", ".pub"):
            target = f"{container}:/etc/ssh/ssh_host_ed25519_key{suffix}"
            docker("cp", str(self.keys / f"host-{name}{suffix}"), target)
        docker("start", container)
        self.hosts[name] = Host(name, container, address)

    def _write_known_hosts(self) -> None:
        lines = []
        for host in self.hosts.values():
            kind, key, *_ = (self.keys / f"host-{host.name}.pub").read_text().split()
            lines.append(f"{host.name},{host.address} {kind} {key}\n")
        (self.keys / "known_hosts").write_text("".join(lines))

    def _acquaint(self, host: Host) -> None:
        """As an operator does: the storage node's key, and whom it may believe."""
        public = (self.keys / "storage.pub").read_text().strip()
        if host.name == STORAGE:
            docker("exec", host.container, "mkdir", "-p", "-m", "0700", "/etc/dlrm-fleet")
            docker("cp", str(self.keys / "storage"), f"{host.container}:{STORAGE_KEY}")
            docker(
                "cp", str(self.keys / "known_hosts"), f"{host.container}:/etc/ssh/ssh_known_hosts"
            )
        else:
            authorized = f"/home/{USER}/.ssh/authorized_keys"
            # Before init.sh writes it the file would be overwritten: the host is up by now.
            host.shell(f"grep -qxF '{public}' {authorized} || echo '{public}' >>{authorized}")

    def write_inventory(
        self, folder: Path, hosts: list[Host], preparation: tuple[Host, ...] = ()
    ) -> Path:
        """These benchmark hosts and the storage node, linked to what all inventories share."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("groups.yml", "group_vars"):
            link = folder / name
            link.unlink(missing_ok=True)
            link.symlink_to(REPOSITORY / "inventories/common" / name)
        checked = f"-o UserKnownHostsFile={self.keys}/known_hosts -o StrictHostKeyChecking=yes"
        common = {
            "ansible_user": USER,
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(self.keys / "login"),
            "ansible_ssh_common_args": checked,
            "dlrm_storage_key_file": STORAGE_KEY,
            # Prepared hosts have one image, from one volume.
            "dlrm_image_shared": False,
        }
        machines = {
            host.name: {"ansible_host": host.address, **common}
            for host in [*hosts, *preparation, self.storage]
        }
        every = dict.fromkeys(machines)
        groups = {
            "benchmark_hosts": {"hosts": dict.fromkeys(host.name for host in hosts)},
            "storage": {"hosts": {STORAGE: None}},
            "preparation_hosts": {"hosts": dict.fromkeys(host.name for host in preparation)},
            f"arch_{platform.machine()}": {"hosts": every},
            "cloud_none": {"hosts": every},
        }
        document = {"all": {"hosts": machines, "children": groups}}
        # JSON is YAML.
        (folder / "hosts.yml").write_text(json.dumps(document, indent=1) + "\n")
        return folder

    def command(
        self,
        *arguments: str,
        playbook: str = "run_benchmark.yml",
        inventory: Path | None = None,
        **variables: Any,
    ) -> list[str]:
        asked = [images.program("ansible-playbook"), playbook]
        return [
            *asked,
            *("-i", str(inventory or self.inventory)),
            *arguments,
            *("-e", json.dumps(variables)),
        ]

    def environment(self) -> dict[str, str]:
        """Control sockets of its own: a fault on one must not reach another session's."""
        sockets = Path("/tmp") / f"dlrm-cp-{owner.session()}"
        return images.ansible_environment(ANSIBLE_SSH_CONTROL_PATH_DIR=str(sockets))

    def popen(
        self, asked: list[str], log: Path | None = None, **more: str
    ) -> subprocess.Popen[str]:
        """In a session of its own, so that killing it leaves nothing of it behind.

        Its output goes to the pipe, or to the file `log`.
        """
        with contextlib.ExitStack() as stack:
            process = subprocess.Popen(
                asked,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if log is None else stack.enter_context(log.open("w")),
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                env={**self.environment(), **more},
            )
        if log is not None:
            self.logs[process.pid] = log
        return process

    def log_of(self, process: subprocess.Popen[str]) -> str:
        return self.logs[process.pid].read_text(errors="replace")

    def restart(self, host: Host) -> None:
        """Power off, power on: nothing is told before."""
        killing = subprocess.Popen(["docker", "kill", host.container], stdout=subprocess.DEVNULL)
        form = "{{.State.Running}}"

        def is_off() -> bool:
            thaw(host.container)
            return docker("inspect", "--format", form, host.container).strip() == "false"

        wait_until(is_off, f"{host.name} is off", pause=0.3)
        killing.wait()
        docker("start", host.container)
        host.wait_until_up()
        self._acquaint(host)

    def close_connections(self) -> None:
        """End the SSH masters that outlive a playbook."""
        sockets = Path(self.environment()["ANSIBLE_SSH_CONTROL_PATH_DIR"])
        for socket in sockets.glob("*") if sockets.is_dir() else []:
            command("ssh", "-o", f"ControlPath={socket}", "-O", "exit", "any", check=False)
        shutil.rmtree(sockets, ignore_errors=True)


@contextlib.contextmanager
def running(folder: Path, count: int = 1, name: str = "fleet") -> Iterator[Fleet]:
    """A started fleet, removed at the end; what a killed session left is removed before."""
    fleet = Fleet(folder, count, name)
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.close_connections()
        fleet.remove()


def _make_key(path: Path) -> None:
    if not path.exists():
        command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path))


def golden(host: str, folder: Path) -> tuple[str, str]:
    """(image, volume) of a prepared host, made when what they are made of has changed."""
    product = images.product_image()
    root, engine = images.names(host, product)
    if not (images.has_image(root) and images.has_files(engine, root)):
        made = Fleet(folder / "golden", count=1, name="golden", prepared=False)
        try:
            _make_golden(made, product, root, engine)
        finally:
            made.close_connections()
            made.remove()
        images.remove_superseded()
    return root, engine


def _make_golden(made: Fleet, product: str, root: str, engine: str) -> None:
    made.start()
    [host] = made.benchmark_hosts
    if images.has_image(product):
        images.lend(product, host.container)
    playbook = str(REPOSITORY / "tests/fleet/playbooks/prepare.yml")
    asked = made.command(playbook=playbook, precision="int8")
    process = made.popen(asked, made.folder / "prepare.log")
    if process.wait(timeout=3600) != 0:
        raise HarnessError(f"cannot prepare a host:\n{made.log_of(process)[-6000:]}")
    # A copy must not be taken of a running engine, nor two machines be the same one.
    host.shell(
        "systemctl stop docker.socket docker containerd; : >/etc/machine-id;"
        " rm -rf /srv/dlrm /home/bench/{data,model,results}"
    )
    docker("commit", "--change", "LABEL dlrm-fleet.test-host=prepared", host.container, root)
    docker("volume", "create", "--label", images.ENGINE, engine)
    images.copy_volume(host.container, engine, root)
