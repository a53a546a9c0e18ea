"""Artifacts are fetched and restored through a bastion, the only way into the hosts.

Not collected by name: tests/long/fleet.sh runs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .hosts import USER, Fleet
from .storage_world import INT8_SHA256, KEYS, ROOT, STORE, give_run, play, ssh, storage_fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """bench-01 is the host, bench-02 the bastion."""
    folder = tmp_path_factory.mktemp("bastion")
    with storage_fleet(folder, count=2, name="storage-bastion") as made:
        give_run(made.benchmark_hosts[0], folder, until="calibrate", large=True)
        yield made


def test_through_a_bastion(fleet: Fleet) -> None:
    host, bastion = fleet.benchmark_hosts
    jump: dict[str, Any] = {
        "dlrm_storage_jump": f"{USER}@{bastion.address}",
        "dlrm_storage_from": [bastion.address],
        "test_hosts": "bench-01",
    }
    play(fleet, "access", **jump)
    host.shell(f"iptables -I INPUT -s {fleet.storage.address} -j DROP")
    direct = ssh(fleet, host, "read", "true", options=("-o", "ConnectTimeout=5"))
    assert "timed out" in direct.stderr, direct.stderr
    # As docs/storage.md says: into the bastion for forwarding to this host alone.
    for mode in ("read", "write"):
        public = fleet.storage.run("cat", f"{KEYS}/{mode}.pub").strip()
        line = f'restrict,port-forwarding,permitopen="{host.address}:22",command="/bin/false"'
        bastion.shell(f"echo '{line} {public}' >>/home/{USER}/.ssh/authorized_keys")
    play(fleet, "fetch", **jump)
    stored = f"{STORE}/store/sha256/{INT8_SHA256[:2]}/{INT8_SHA256}"
    assert fleet.storage.shell(f"sha256sum {stored}").split()[0] == INT8_SHA256
    host.shell(f"rm -rf {ROOT}/stages")
    play(fleet, "restore", **jump)
    found = host.shell(f"sha256sum {ROOT}/stages/calibrate/*/dlrm_int8.pt").split()[0]
    assert found == INT8_SHA256
    # These keys open no shell on the bastion and no way to another machine.
    elsewhere = ssh(fleet, bastion, "read", options=("-W", f"{fleet.storage.address}:22"))
    assert "SSH-2.0" not in elsewhere.stdout
    assert ssh(fleet, bastion, "read", "id").stdout == ""
