"""Three hosts with one fault each: the doctor names it with its remedy, and a run stops at it.

Four rounds make twelve faults. A run refuses with the doctor's words, before its first stage.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .hosts import USER, Fleet, Host
from .storage_world import storage_fleet

REQUEST: dict[str, Any] = {"precision": "int8", "row_cap": 2000, "min_duration": 2}
NOWHERE = "http://127.0.0.1:9"
SUDOERS = "/etc/sudoers.d/bench"
PORT = 8000
UNKNOWN = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes"
# Docker imports a root file system: a shell and what it loads.
IMAGE = (
    "tar -chf - /bin/sh $(ldd /bin/sh | grep -o '/lib[^ ]*') 2>/dev/null"
    " | docker import - dlrm-bench:test"
)
PRIVATE = (
    "for unit in docker containerd; do mkdir -p /etc/systemd/system/$unit.service.d;"
    " printf '[Service]\\nPrivateTmp=yes\\n' >/etc/systemd/system/$unit.service.d/test.conf; done;"
    " systemctl daemon-reload; systemctl restart containerd docker"
)


@dataclass
class Fault:
    """`inject`, `mend`: shell on the host; `variables`: of the host; `said`: the line's parts."""

    name: str
    said: tuple[str, ...]
    inject: str = "true"
    mend: str = "true"
    variables: dict[str, Any] = field(default_factory=dict)


ROUNDS: list[list[Fault]] = [
    [
        Fault(
            "a made-up name",
            (
                "connection, from the controller to",
                "bench-01.invalid does not resolve",
                "ansible_host",
            ),
            variables={"ansible_host": "bench-01.invalid"},
        ),
        Fault(
            "a firewall",
            (
                "connection, from the controller to",
                "nothing answers at",
                "let this connection through",
            ),
            inject="iptables -I INPUT -p tcp --dport 22 -s {gateway} -j DROP",
            mend="iptables -D INPUT -p tcp --dport 22 -s {gateway} -j DROP",
        ),
        Fault(
            "sudo wants a terminal",
            ("root's rights, from bench@", "sudo wants a terminal", "'Defaults:bench !requiretty'"),
            inject="echo 'Defaults requiretty' >/etc/sudoers.d/tty",
            mend="rm /etc/sudoers.d/tty",
        ),
    ],
    [
        Fault(
            "sudo wants a password",
            ("root's rights, from bench@", "sudo wants a password", "NOPASSWD"),
            inject=f"echo 'bench ALL=(ALL) ALL' >{SUDOERS}",
            mend=f"echo 'bench ALL=(ALL) NOPASSWD: ALL' >{SUDOERS}",
        ),
        Fault(
            "a user whom the host does not know",
            ("connection, from the controller to", "does not let user ubuntu in", "ansible_user"),
            variables={"ansible_user": "ubuntu"},
        ),
        Fault(
            "no Python",
            ("root's rights, from bench@", "there is no Python", "ansible_python_interpreter"),
            variables={"ansible_python_interpreter": "/usr/bin/python9"},
        ),
    ],
    [
        Fault(
            "pip's index is down",
            (
                "pip, from",
                f"to {NOWHERE}/simple",
                "nothing listens there",
                "dlrm_host_pip_environment",
            ),
            variables={"dlrm_host_pip_environment": {"PIP_INDEX_URL": f"{NOWHERE}/simple"}},
        ),
        Fault(
            "the distribution's mirror is down",
            ("apt, from", f"to {NOWHERE}/debian", "nothing listens there", "A run needs rsync"),
            inject=(
                "mv /usr/bin/rsync /var/lib/dpkg/info/rsync.list /root/; mkdir /root/apt;"
                " mv /etc/apt/sources.list* /root/apt/;"
                f" echo 'deb {NOWHERE}/debian stable main' >/etc/apt/sources.list"
            ),
            mend=(
                "mv /root/rsync /usr/bin/; mv /root/rsync.list /var/lib/dpkg/info/;"
                " rm /etc/apt/sources.list; mv /root/apt/* /etc/apt/; rmdir /root/apt"
            ),
        ),
        Fault(
            "the storage node is not let in",
            ("your own key, from storage-01 to", "does not let user bench in", "authorized_keys"),
            inject=f"sed -i.bak /storage/d /home/{USER}/.ssh/authorized_keys",
            mend=f"mv /home/{USER}/.ssh/authorized_keys.bak /home/{USER}/.ssh/authorized_keys",
        ),
    ],
    [
        Fault(
            "the source is out of reach",
            (
                "source of dataset, from",
                "day_23.bin",
                "nothing listens there",
                "Correct the address",
            ),
            inject=f"iptables -I OUTPUT -p tcp --dport {PORT} -j REJECT --reject-with tcp-reset",
            mend=f"iptables -D OUTPUT -p tcp --dport {PORT} -j REJECT --reject-with tcp-reset",
        ),
        Fault(
            "the container engine does not see the root folder",
            ("engine sees root, from", "to /tmp/dlrm", "does not exist", "mount namespace"),
            inject=f"{IMAGE}; {PRIVATE}; install -d -o bench -g bench /tmp/dlrm",
            variables={"dlrm_host_root": "/tmp/dlrm"},
        ),
        Fault(
            "an unknown host key",
            ("connection, from the controller to", "SSH host key", "known_hosts"),
            variables={"ansible_ssh_common_args": UNKNOWN},
        ),
    ],
]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with storage_fleet(tmp_path_factory.mktemp("ways"), count=3, name="ways") as made:
        made.storage.shell(
            "mkdir /tmp/served; head -c 4000 /dev/zero >/tmp/served/day_23.bin; cd /tmp/served;"
            f" setsid --fork python3 -m http.server {PORT} >/dev/null 2>&1 </dev/null"
        )
        yield made


def on(host: Host, script: str) -> None:
    gateway = host.shell("ip -o route show default").split(" via ")[1].split()[0]
    host.shell(script.replace("{gateway}", gateway))


@pytest.fixture
def faulty(
    fleet: Fleet, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Path, list[tuple[Host, Fault]]]]:
    """The faults injected, and an inventory of their hosts."""
    pairs = list(zip(fleet.benchmark_hosts, request.param, strict=True))
    inventory = fleet.write_inventory(tmp_path / "inventory", fleet.benchmark_hosts)
    document = json.loads((inventory / "hosts.yml").read_text())
    for host, fault in pairs:
        document["all"]["hosts"][host.name].update(fault.variables)
    (inventory / "hosts.yml").write_text(json.dumps(document))
    # An open connection would be used as it is.
    fleet.close_connections()
    for host, fault in pairs:
        on(host, fault.inject)
    try:
        yield inventory, pairs
    finally:
        for host, fault in pairs:
            on(host, fault.mend)


def played(fleet: Fleet, inventory: Path, playbook: str, **more: Any) -> tuple[int, str]:
    url = f"http://{fleet.storage.address}:{PORT}/day_23.bin"
    asked = fleet.command(
        playbook=playbook,
        inventory=inventory,
        data_source=[{"url": url, "md5": "0" * 32}],
        dlrm_connection_timeout_seconds=5,
        **REQUEST,
        **more,
    )
    process = fleet.popen(asked)
    try:
        output, _ = process.communicate(timeout=900)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, output


def has(text: str, parts: tuple[str, ...]) -> bool:
    return all(part in " ".join(text.split()) for part in parts)


def names(value: Any) -> str:
    return " + ".join(fault.name for fault in value)


@pytest.mark.parametrize("faulty", ROUNDS, ids=names, indirect=True)
def test_the_doctor_and_the_run_name_each_fault(
    fleet: Fleet, faulty: tuple[Path, list[tuple[Host, Fault]]], tmp_path: Path
) -> None:
    inventory, pairs = faulty
    code, output = played(fleet, inventory, "playbooks/doctor.yml")
    assert code != 0, output
    blocks = _blocks(output, [host.name for host, _fault in pairs])
    for host, fault in pairs:
        assert "NOT ready" in blocks[host.name], output
        lines = [line.strip() for line in blocks[host.name].splitlines()]
        missing = [line for line in lines if line.startswith("missing")]
        assert any(has(line, fault.said) for line in missing), f"{fault.name}:\n{output}"

    verdicts = tmp_path / "verdicts"
    code, output = played(fleet, inventory, "run_benchmark.yml", dlrm_verdict_dir=str(verdicts))
    assert code != 0, output
    [written] = verdicts.glob("verdict-*.json")
    rows = {row["host"]: row for row in json.loads(written.read_text())["results"]}
    for host, fault in pairs:
        reasons = " ".join(rows[host.name]["reasons"])
        assert has(reasons, fault.said), f"{fault.name}:\n{reasons}\n{output[-4000:]}"
        assert host.shell("ls -d /srv/dlrm/stages /tmp/dlrm/stages 2>/dev/null || true") == ""


def _blocks(output: str, hosts: list[str]) -> dict[str, str]:
    """What the doctor says of each host."""
    found: dict[str, str] = {}
    name = ""
    for line in output.splitlines():
        head = next((one for one in hosts if line.strip().startswith(f"{one}: ")), None)
        if head is not None:
            name = head
        elif not line.strip().startswith(("missing", "note", "skipped", "ok ")):
            name = ""
        if name:
            found[name] = found.get(name, "") + line + "\n"
    return found


@pytest.fixture
def healthy(fleet: Fleet) -> Callable[[], tuple[int, str]]:
    return lambda: played(fleet, fleet.inventory, "playbooks/doctor.yml")


def test_without_a_fault_every_host_is_ready(
    fleet: Fleet, healthy: Callable[[], tuple[int, str]]
) -> None:
    code, output = healthy()
    assert code == 0, output
    for host in fleet.benchmark_hosts:
        assert f"{host.name}: ready" in output, output
    assert "storage-01 (storage node): ready" in output, output
