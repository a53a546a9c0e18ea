"""Restore on a host that never saw the weights: undisturbed, cut, damaged."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from .engine import REPOSITORY, wait_until
from .hosts import USER, Fleet, Host
from .storage_world import (
    INT8,
    INT8_SHA256,
    KEYS,
    ROOT,
    STORE,
    give_run,
    play,
    rate,
    size,
    ssh,
    start_play,
    storage_fleet,
)

CALIBRATE = f"{ROOT}/stages/calibrate"
INCOMING = f"{ROOT}/incoming/{INT8_SHA256}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("restore")
    with storage_fleet(folder, count=2, name="storage-restore") as made:
        give_run(made.benchmark_hosts[0], folder, until="calibrate", large=True)
        play(made, "fetch", test_hosts="bench-01")
        yield made


@pytest.fixture
def host(fleet: Fleet) -> Host:
    """The second host, with only a root folder."""
    chosen = fleet.benchmark_hosts[1]
    chosen.shell(f"rm -rf {ROOT}; mkdir {ROOT}; chown {USER}: {ROOT}")
    return chosen


def restore(fleet: Fleet, succeeds: bool = True, **more: Any) -> str:
    return play(fleet, "restore", succeeds, test_hosts="bench-02", **more)


def document(host: Host, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.shell(f"cat {ROOT}/stages/{stage}/*/stage.json"))
    schema = json.loads((REPOSITORY / "docs/contracts/stage.schema.json").read_text())
    jsonschema.validate(found, schema)
    return found


def stages(host: Host) -> list[str]:
    """Stages that have a stage.json."""
    return host.shell(f"cd {ROOT}/stages 2>/dev/null && ls -d */*/stage.json | cut -d/ -f1").split()


def is_restored(host: Host) -> bool:
    found = host.shell(f"sha256sum {CALIBRATE}/*/dlrm_int8.pt").split()[0]
    return stages(host) == ["calibrate", "dataset"] and found == INT8_SHA256


def test_restored_without_weights_and_marked(fleet: Fleet, host: Host) -> None:
    output = restore(fleet)
    assert is_restored(host)
    assert (
        host.shell(f"ls {ROOT}/stages/weights/* {ROOT}/stages/dump/*").count("elsewhere.json") == 2
    )
    made, kept = document(host, "calibrate"), document(fleet.benchmark_hosts[0], "calibrate")
    assert made["provenance"].pop("restored")["from"] == "storage-01"
    assert made == kept
    owners = host.shell(f"find {ROOT}/stages -mindepth 1 ! -user {USER}")
    assert owners == ""
    assert "restored from storage-01, made by run" in output
    # The key that brought it writes nowhere else.
    shell = f"ssh -i {KEYS}/write -o BatchMode=yes -o UserKnownHostsFile={KEYS}/known_hosts"
    said = fleet.storage.shell(
        f"rsync --no-protect-args -e '{shell}' /etc/hostname"
        f" {USER}@{host.address}:{ROOT}/stages/ 2>&1 || true"
    )
    assert "this key may only write into" in said
    assert stages(host) == ["calibrate", "dataset"]
    again = restore(fleet)
    assert "changed=0" in again.rsplit("PLAY RECAP", 1)[1].split("bench-02", 1)[1].splitlines()[0]


def test_a_cut_restore_leaves_nothing_finished_and_goes_on(fleet: Fleet, host: Host) -> None:
    rate(fleet.storage, "60mbit")
    try:
        process = start_play(fleet, "restore", test_hosts="bench-02")
        wait_until(lambda: size(host, INCOMING) > 8 * 1024**2, "a part has arrived")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        # End rsync on the storage node too: the controller's connection is gone.
        fleet.storage.shell("pkill -x rsync; true")
        have = wait_until(lambda: size(host, INCOMING), "it lies there")
        assert have < len(INT8)
        assert "calibrate" not in stages(host)
    finally:
        rate(fleet.storage, None)
    restore(fleet)
    assert is_restored(host)
    said = fleet.storage.shell("ls -A /srv/dlrm-storage/incoming")
    assert "partial" not in said


def test_a_damaged_file_of_the_store_is_refused(fleet: Fleet, host: Host) -> None:
    stored = f"{STORE}/store/sha256/{INT8_SHA256[:2]}/{INT8_SHA256}"
    fleet.storage.shell(f"printf x | dd of={stored} bs=1 seek=1000 conv=notrunc status=none")
    output = restore(fleet, succeeds=False)
    assert f"refused '{stored}' of the storage node" in output
    assert f"{INT8_SHA256}.damaged" in output
    assert "calibrate" not in stages(host)
    assert host.shell(f"ls {CALIBRATE}/*/dlrm_int8.pt 2>/dev/null || true") == ""
    # A host that has the file brings it back.
    play(fleet, "fetch", test_hosts="bench-01")
    restore(fleet)
    assert is_restored(host)


def test_another_beginning_is_sent_again_from_nothing(fleet: Fleet, host: Host) -> None:
    """A file in incoming/ is used only after it was hashed as a whole."""
    host.shell(
        f"mkdir {ROOT}/incoming; head -c 1000 /dev/zero >{ROOT}/incoming/{INT8_SHA256};"
        f" chown -R {USER}: {ROOT}/incoming"
    )
    restore(fleet)
    assert is_restored(host)


def test_a_key_that_was_taken_back_is_named(fleet: Fleet, host: Host) -> None:
    authorized = "/home/bench/.ssh/authorized_keys"
    restore(fleet)
    line = host.shell(f"grep 'dlrm-fleet:test:write' {authorized}")
    assert 'command="' in line
    host.shell(f"sed -i /dlrm-fleet:test:write/d {authorized}")
    refused = ssh(fleet, host, "write", "true")
    assert "Permission denied (publickey" in refused.stderr
    # The next restore lets it in again, over the controller's own connection.
    host.shell(f"rm -rf {ROOT}/stages")
    restore(fleet)
    assert is_restored(host)
