"""The storage node logs in as the connection's user, also where only ~/.ssh/config names them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .hosts import Fleet, Host
from .storage_world import STORE, give_run, play, storage_fleet, visit

# Login and home. A directory service names its users like this; here /etc/passwd does.
USERS = [
    ("bench", "/home/bench"),
    ("bench@lab.example", "/home/lab.example"),
    ("LAB\\bench", "/home/LAB"),
]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with storage_fleet(tmp_path_factory.mktemp("login"), count=1, name="storage-login") as made:
        [host] = made.benchmark_hosts
        for number, (user, home) in enumerate(USERS[1:], 1500):
            add_user(host, user, number, home)
        yield made


def add_user(host: Host, user: str, number: int, home: str) -> None:
    """With bench's login key, and root's rights by sudo."""
    entry = f"{user}:*:{number}:{number}::{home}:/bin/bash\n"
    host.run("bash", "-c", "cat >>/etc/passwd", text=entry)
    host.run("bash", "-c", "cat >>/etc/sudoers", text=f"#{number} ALL=(ALL) NOPASSWD: ALL\n")
    host.shell(
        f"install -d -m 0700 -o {number} -g {number} {home} {home}/.ssh;"
        f"install -m 0600 -o {number} -g {number} /home/bench/.ssh/authorized_keys {home}/.ssh/"
    )


def inventory(fleet: Fleet, folder: Path, user: str) -> Path:
    """It names neither the host's address nor its user; ssh's configuration does."""
    [host] = fleet.benchmark_hosts
    configuration = folder / "ssh_config"
    configuration.write_text(f"Host {host.name}\n  HostName {host.address}\n  User {user}\n")
    made = fleet.write_inventory(folder / "inventory", [host])
    document = json.loads((made / "hosts.yml").read_text())
    variables = document["all"]["hosts"][host.name]
    del variables["ansible_host"], variables["ansible_user"]
    variables["ansible_ssh_common_args"] += f" -F {configuration}"
    (made / "hosts.yml").write_text(json.dumps(document))
    return made


@pytest.mark.parametrize(("user", "home"), USERS)
def test_a_run_comes_home_from_a_login_that_only_ssh_knows(
    fleet: Fleet, tmp_path: Path, user: str, home: str
) -> None:
    [host] = fleet.benchmark_hosts
    give_run(host, tmp_path)
    fleet.storage.shell(f"rm -rf {STORE}")
    # Ansible takes an open connection to the same name for its own.
    fleet.close_connections()
    found = inventory(fleet, tmp_path, user)
    play(fleet, "spool", inventory=found)
    assert host.shell("cat /root/.ssh/authorized_keys 2>/dev/null || true") == ""
    count = f"grep -c dlrm-fleet:test: {home}/.ssh/authorized_keys || true"
    assert host.shell(count).strip() == "2"
    assert host.shell(f"stat -c '%a %U' {home}/.ssh/authorized_keys").strip() == f"600 {user}"
    code, said = visit(fleet)
    assert code == 0, said
    assert "collected, passed" in said
    play(fleet, "remove", inventory=found)
    assert host.shell(count).strip() == "0"
