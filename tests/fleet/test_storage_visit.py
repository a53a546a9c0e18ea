"""The storage node's visit, with the controller gone and with it alive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from .engine import REPOSITORY
from .hosts import STORAGE_KEY, Fleet
from .storage_world import (
    KEYS,
    ROOT,
    RUN_ID,
    STORE,
    give_run,
    play,
    storage_fleet,
    time_text,
    visit,
)

OWNER = "dlrm-storage"
# The unit of a release that visited as root.
OLD_UNIT = f"""[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I /opt/dlrm-fleet/storage.pyz visit {STORE}
ReadWritePaths={STORE}
ProtectSystem=strict
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("visit")
    with storage_fleet(folder, count=2, name="storage-visit") as made:
        give_run(made.benchmark_hosts[0], folder)
        give_run(made.benchmark_hosts[1], folder, until="accuracy", deadline=86400)
        # The controller only opened the run. From here on it is gone.
        play(made, "spool")
        yield made


def record(fleet: Fleet, host: str) -> dict[str, Any]:
    text = fleet.storage.run("cat", f"{STORE}/runs/{RUN_ID}/{host}/run.json")
    found: dict[str, Any] = json.loads(text)
    schema = json.loads((REPOSITORY / "docs/contracts/run.schema.json").read_text())
    jsonschema.validate(found, schema)
    return found


def waiting(fleet: Fleet) -> list[str]:
    return fleet.storage.shell(f"ls {STORE}/spool/{RUN_ID} 2>/dev/null || true").split()


def change_lock(fleet: Fleet, number: int, **change: str) -> None:
    host = fleet.benchmark_hosts[number]
    path = f"{ROOT}/runs/{RUN_ID}/run.lock"
    lock = {**json.loads(host.run("cat", path)), **change}
    host.run("tee", path, text=json.dumps(lock))


def test_the_timer_is_set(fleet: Fleet) -> None:
    timer = "systemctl is-enabled dlrm-storage-visit.timer; systemctl is-active {}"
    assert fleet.storage.shell(timer.format("dlrm-storage-visit.timer")).split() == [
        "enabled",
        "active",
    ]
    # From here on only the tests start the visit.
    fleet.storage.run("systemctl", "stop", "dlrm-storage-visit.timer")


def roots_files(fleet: Fleet) -> list[str]:
    """What belongs to root in the storage node's folders, but for what root's own tasks write."""
    kept = f"-path {STORE}/images -prune -o"
    return fleet.storage.shell(f"find {STORE} {KEYS} {kept} -user root -print").split()


def test_a_user_without_login_owns_folders_and_keys(fleet: Fleet) -> None:
    shell = fleet.storage.run("getent", "passwd", OWNER).strip().split(":")[-2:]
    assert shell == ["/nonexistent", "/usr/sbin/nologin"]
    found = fleet.storage.run("stat", "-c", "%U %a", STORE, KEYS, f"{KEYS}/read").splitlines()
    assert found == [f"{OWNER} 755", f"{OWNER} 700", f"{OWNER} 600"]
    assert roots_files(fleet) == []


def test_the_units_sandbox_is_accepted(fleet: Fleet) -> None:
    unit = "/etc/systemd/system/dlrm-storage-visit.service"
    said = fleet.storage.shell(f"systemd-analyze verify {unit} 2>&1", check=False)
    assert [line for line in said.splitlines() if "dlrm-storage-visit" in line] == []
    level = fleet.storage.shell(f"systemd-analyze security {unit.rsplit('/', 1)[1]} --no-pager")
    assert float(level.rsplit("exposure level for", 1)[1].split(":")[1].split()[0]) < 3.0, level


def test_a_finished_run_is_collected_and_a_live_one_left(fleet: Fleet) -> None:
    # As its poll does: a lease is 90 s long.
    change_lock(fleet, 1, lease_until=time_text(80))
    code, said = visit(fleet)
    assert code == 0, said
    assert f"{RUN_ID} bench-01: collected, passed" in said
    assert f"{RUN_ID} bench-02: its controller is at work" in said
    assert waiting(fleet) == ["bench-02.json"]
    found = record(fleet, "bench-01")
    assert found["verdict"]["status"] == "passed"
    assert found["opened_at"] == "2026-01-31T12:00:00Z"
    folder = f"{STORE}/runs/{RUN_ID}/bench-01"
    fleet.storage.shell(f"cd {folder} && sha256sum --check --strict --quiet SHA256SUMS")
    assert fleet.storage.run("cat", f"{STORE}/artifacts/bench-01/model/dlrm-multihot-pytorch.pt")


def test_again_finds_nothing_to_do(fleet: Fleet) -> None:
    before = fleet.storage.shell(
        f"find {STORE}/runs {STORE}/store -type f -not -name '.*' -printf '%p %T@\\n' | sort"
    )
    code, said = visit(fleet)
    assert code == 0, said
    assert "bench-01" not in said
    assert "bench-02" in said
    assert fleet.storage.shell(
        f"find {STORE}/runs {STORE}/store -type f -not -name '.*' -printf '%p %T@\\n' | sort"
    ) == (before)


def test_the_unit_itself_brings_home_what_an_unfinished_run_left(fleet: Fleet) -> None:
    change_lock(fleet, 1, lease_until=time_text(-3600), deadline=time_text(-3600))
    fleet.storage.run("systemctl", "start", "dlrm-storage-visit.service")
    folder = f"{STORE}/runs/{RUN_ID}/bench-02"
    assert "accuracy.txt" in fleet.storage.run("ls", f"{folder}/accuracy")
    assert "run.json" not in fleet.storage.run("ls", folder)
    assert waiting(fleet) == ["bench-02.json"]
    assert fleet.storage.run("stat", "-c", "%U", f"{folder}/accuracy/accuracy.txt") == f"{OWNER}\n"
    assert roots_files(fleet) == []


def test_the_controller_that_comes_back_finds_the_records(fleet: Fleet) -> None:
    first = record(fleet, "bench-01")
    play(fleet, "main", test_hosts="bench-01")
    assert record(fleet, "bench-01") == first


def test_a_host_that_does_not_answer_stays_in_the_spool(fleet: Fleet, tmp_path: Path) -> None:
    give_run(fleet.benchmark_hosts[0], tmp_path)
    fleet.storage.shell(f"rm -rf {STORE}/runs/{RUN_ID}/bench-01 {STORE}/spool")
    play(fleet, "spool", test_hosts="bench-01")
    fleet.benchmark_hosts[0].shell("systemctl stop ssh.socket ssh")
    code, said = visit(fleet)
    assert code == 1
    assert "bench-01: cannot fetch" in said
    assert "bench-01.json" in waiting(fleet)
    fleet.benchmark_hosts[0].shell("systemctl start ssh")
    code, said = visit(fleet)
    assert "bench-01: collected, passed" in said


def test_a_node_that_has_everything_is_only_looked_at(fleet: Fleet) -> None:
    # The previous test has started the timer again.
    output = play(fleet, "spool", test_hosts="bench-01")
    assert "prepare | See what is missing" in output
    assert "setup |" not in output
    fleet.storage.run("systemctl", "disable", "--now", "dlrm-storage-visit.timer")
    output = play(fleet, "spool", test_hosts="bench-01")
    assert "setup | Ensure the storage root" in output


def test_a_node_of_a_release_that_worked_as_root_goes_on(fleet: Fleet) -> None:
    """Folders, keys and entries of root; the old unit first runs the new program."""
    fleet.storage.shell(f"chown -R root:root {STORE} {KEYS} && chmod 0700 /etc/dlrm-fleet")
    unit = "/etc/systemd/system/dlrm-storage-visit.service"
    fleet.storage.run("tee", unit, text=OLD_UNIT)
    fleet.storage.shell("systemctl daemon-reload && systemctl start dlrm-storage-visit.service")
    output = play(fleet, "spool")
    assert "node | setup | Ensure the storage root" in output
    # An entry tells how to reach the host with keys that the new user has to read.
    assert roots_files(fleet) == []
    change_lock(fleet, 1, lease_until=time_text(-3600), deadline=time_text(-3600))
    fleet.storage.run("systemctl", "start", "dlrm-storage-visit.service")
    code, said = visit(fleet)
    assert code == 0, said
    assert "bench-02: unfinished at its deadline" in said
    assert roots_files(fleet) == []
    assert "setup |" not in play(fleet, "spool", test_hosts="bench-01")


def test_a_key_of_the_users_own_is_copied(fleet: Fleet, tmp_path: Path) -> None:
    """It is root's, in a folder of root's; the user who pulls gets a copy. Visits are off."""
    give_run(fleet.benchmark_hosts[0], tmp_path)
    fleet.storage.shell(f"rm -rf {STORE}/runs/{RUN_ID}/bench-01 {STORE}/spool")
    output = play(fleet, "spool", test_hosts="bench-01", dlrm_storage_key_file=STORAGE_KEY)
    assert "the storage node's visits are off" in " ".join(output.split())
    assert fleet.storage.shell(f"ls {STORE}/spool/{RUN_ID} 2>/dev/null | wc -l").strip() == "0"
    owners = fleet.storage.shell(f"stat -c '%U %a' {STORAGE_KEY} {STORE}/.keys {STORE}/.keys/*")
    assert owners.splitlines() == ["root 600", f"{OWNER} 700", f"{OWNER} 600"]
