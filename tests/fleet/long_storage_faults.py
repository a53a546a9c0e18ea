"""Faults while the storage node pulls or sends, and the messages about them.

Not collected by name: tests/long/fleet.sh runs it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .engine import REPOSITORY, docker, wait_until
from .hosts import Fleet, Host
from .images import ansible_environment, program
from .storage_world import (
    INT8,
    INT8_SHA256,
    ROOT,
    STORE,
    give_run,
    play,
    rate,
    size,
    start_play,
    storage_fleet,
    visit,
)

PARTIAL = f"{STORE}/incoming/{INT8_SHA256}.partial"
STORED = f"{STORE}/store/sha256/{INT8_SHA256[:2]}/{INT8_SHA256}"
INCOMING = f"{ROOT}/incoming/{INT8_SHA256}"
AT = len(INT8) - 9
MODEL = f"{ROOT}/stages/calibrate/*/dlrm_int8.pt"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("faults")
    with storage_fleet(folder, count=1, name="storage-faults") as made:
        yield made


@pytest.fixture
def host(fleet: Fleet) -> Host:
    """A host with every stage, also the fp32 dump, and a storage node with nothing."""
    fleet.storage.shell(f"rm -rf {STORE}/store {STORE}/stages {STORE}/incoming")
    [chosen] = fleet.benchmark_hosts
    give_run(chosen, fleet.folder, large=True)
    rate(chosen, None)
    return chosen


def is_stored(fleet: Fleet) -> bool:
    return fleet.storage.shell(f"sha256sum {STORED}").split()[0] == INT8_SHA256


def change(host: Host, value: int) -> None:
    """One byte near the end of the model, which keeps its size."""
    script = (
        f"import glob; f = open(glob.glob('{MODEL}')[0], 'r+b');"
        f" f.seek({AT}); f.write(bytes([{value}]))"
    )
    host.run("python3", "-c", script)


def begin_pull(fleet: Fleet, host: Host) -> subprocess.Popen[str]:
    rate(host, "60mbit")
    process = start_play(fleet, "fetch")
    wait_until(lambda: size(fleet.storage, PARTIAL) > 8 * 1024**2, "a part has arrived")
    return process


def test_the_storage_node_dies_during_a_pull(fleet: Fleet, host: Host) -> None:
    process = begin_pull(fleet, host)
    docker("kill", fleet.storage.container)
    output, _ = process.communicate(timeout=900)
    assert process.returncode != 0
    assert "UNREACHABLE" in output, output[-3000:]
    docker("start", fleet.storage.container)
    fleet.storage.wait_until_up()
    assert 0 < size(fleet.storage, PARTIAL) < len(INT8)
    assert size(fleet.storage, STORED) == 0
    rate(host, None)
    output = play(fleet, "fetch")
    assert "dlrm_int8.pt: resumed at" in output
    assert is_stored(fleet)


def test_the_network_is_cut_during_a_pull(fleet: Fleet, host: Host) -> None:
    process = begin_pull(fleet, host)
    docker("network", "disconnect", fleet.network, host.container)
    output, _ = process.communicate(timeout=900)
    docker("network", "connect", "--ip", host.address, fleet.network, host.container)
    assert process.returncode != 0
    assert "cannot fetch" in output and "goes on where it ended" in output, output[-3000:]
    assert 0 < size(fleet.storage, PARTIAL) < len(INT8)
    rate(host, None)
    assert "dlrm_int8.pt: resumed at" in play(fleet, "fetch")
    assert is_stored(fleet)


def test_a_file_that_changes_during_the_pull_is_kept_out(fleet: Fleet, host: Host) -> None:
    process = begin_pull(fleet, host)
    change(host, INT8[AT] ^ 1)
    rate(host, None)
    output, _ = process.communicate(timeout=900)
    assert process.returncode != 0
    assert f"promises sha256 {INT8_SHA256}" in output, output[-3000:]
    assert "kept out of the store" in output
    assert size(fleet.storage, STORED) == 0
    # The second time it is refused before the pull, and no file is left behind.
    assert f"promises sha256 {INT8_SHA256}" in play(fleet, "fetch", succeeds=False)
    assert size(fleet.storage, STORED) == size(fleet.storage, PARTIAL) == 0
    change(host, INT8[AT])
    play(fleet, "fetch")
    assert is_stored(fleet)


def test_the_storage_node_dies_during_a_restore(fleet: Fleet, host: Host) -> None:
    play(fleet, "fetch")
    # The host loses what it made and gets it back.
    host.shell(f"rm -rf {ROOT}/stages {ROOT}/incoming")
    rate(fleet.storage, "60mbit")
    process = start_play(fleet, "restore")
    wait_until(lambda: size(host, INCOMING) > 8 * 1024**2, "a part has arrived")
    docker("kill", fleet.storage.container)
    output, _ = process.communicate(timeout=900)
    assert process.returncode != 0
    assert "UNREACHABLE" in output, output[-3000:]
    assert host.shell(f"ls {ROOT}/stages/calibrate/*/stage.json 2>/dev/null || true") == ""
    assert 0 < size(host, INCOMING) < len(INT8)
    docker("start", fleet.storage.container)
    fleet.storage.wait_until_up()
    play(fleet, "restore")
    assert host.shell(f"sha256sum {MODEL}").split()[0] == INT8_SHA256


def test_a_full_disk_of_the_storage_node_is_refused_with_numbers(fleet: Fleet, host: Host) -> None:
    fleet.storage.shell(f"mount -t tmpfs -o size=280m tmpfs {STORE}")
    try:
        output = play(fleet, "fetch", succeeds=False)
        assert f"cannot fetch 6 files to '{STORE}'" in output, output[-3000:]
        assert "the storage node's disk needs 0.30 GiB free, found 0.27 GiB" in output
        assert fleet.storage.shell(f"find {STORE} -name '*.partial'") == ""
    finally:
        fleet.storage.shell(f"umount {STORE}")


def test_a_key_that_was_taken_back_stops_the_visit_by_name(fleet: Fleet, host: Host) -> None:
    play(fleet, "spool")
    fleet.storage.shell("systemctl stop dlrm-storage-visit.timer dlrm-storage-visit.service")
    authorized = "/home/bench/.ssh/authorized_keys"
    host.shell(f"sed -i /dlrm-fleet:test:read/d {authorized}")
    code, said = visit(fleet)
    assert code == 1
    assert "the SSH key was refused" in said, said
    assert size(fleet.storage, STORED) == 0


def test_two_storage_nodes_are_refused(tmp_path: Path) -> None:
    for name in ("groups.yml", "group_vars"):
        (tmp_path / name).symlink_to(REPOSITORY / "inventories/common" / name)
    local = {"ansible_connection": "local", "ansible_python_interpreter": program("python")}
    groups = {
        "benchmark_hosts": {"hosts": {"a": None}},
        "storage": {"hosts": {"a": None, "b": None}},
    }
    document = {"all": {"hosts": {"a": local, "b": local}, "children": groups}}
    (tmp_path / "hosts.yml").write_text(json.dumps(document))
    for playbook in ("fetch_artifacts", "prepare_data", "rerun"):
        asked = [program("ansible-playbook"), f"playbooks/{playbook}.yml", "-i", str(tmp_path)]
        done = subprocess.run(
            [*asked, "-e", "precision=int8"],
            cwd=REPOSITORY,
            env=ansible_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert "The group 'storage' has 2 hosts" in " ".join(done.stdout.split()), done.stdout
