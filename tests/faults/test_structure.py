"""The verdict names every host and decides the exit code, also if hosts fail or are lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ssh_machines import RUN_ID, Machines

from fleet.engine import docker

# Role dlrm_host refuses this folder.
FAILS = {"dlrm_host_root": "/srv"}
# Once this fact is set, connections go to a port where nothing listens.
LOST = {"ansible_port": "{{ 1 if dlrm_host_architecture is defined else 22 }}"}
# The first command as root ends with ssh's exit code for a broken connection.
BREAKS = {"ansible_become_exe": "exit 255;"}
# Nothing listens at this port.
SILENT = {"ansible_port": 1}


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("structure")
    # The containers' user must be able to enter these folders.
    for parent in [folder, *folder.parents][:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    made = Machines(folder)
    try:
        made.start("far-01", "far-02", "off-01", "mute-01")
        docker("stop", "--time", "0", made.container("off-01"))
        docker("pause", made.container("mute-01"))
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def mixed(machines: Machines) -> Path:
    """One host passes, one does not answer, one was no part of the run."""
    return machines.inventory("mixed", {"here": {}, "far-01": SILENT, "far-02": {}})


def statuses(verdict: dict[str, Any]) -> dict[str, str]:
    return {row["host"]: row["status"] for row in verdict["results"]}


def phases(verdict: dict[str, Any]) -> dict[str, str | None]:
    return {row["host"]: (row["failure"] or {}).get("phase") for row in verdict["results"]}


def test_all_unreachable_ends_with_a_verdict(machines: Machines) -> None:
    inventory = machines.inventory("away", {"off-01": {}, "mute-01": {}})
    ended = machines.play(inventory)
    assert ended.returncode != 0, ended.stdout
    verdict = machines.verdict()
    assert statuses(verdict) == {"off-01": "unreachable", "mute-01": "unreachable"}, ended.stdout
    assert (verdict["run_id"], verdict["passed"]) == (None, False)
    [limit] = machines.verdicts("failed-*.limit")
    assert limit.read_text() == "mute-01\noff-01\nlocalhost\n"
    assert "0 of 2 hosts passed, all must: FAILED." in ended.stdout
    assert f"--limit @{limit}" in " ".join(ended.stdout.split())
    limit.unlink()


def test_one_lost_in_the_midst_of_a_play_and_one_that_fails(machines: Machines) -> None:
    inventory = machines.inventory("midst", {"far-01": LOST, "far-02": FAILS}, storage="here")
    ended = machines.play(inventory)
    assert ended.returncode != 0, ended.stdout
    verdict = machines.verdict()
    assert statuses(verdict) == {"far-01": "unreachable", "far-02": "failed"}, ended.stdout
    assert phases(verdict) == {"far-01": "unreachable", "far-02": "prepare"}
    reasons = {row["host"]: " ".join(row["reasons"]) for row in verdict["results"]}
    assert "lost in the part 'prepare'" in reasons["far-01"]
    assert "dlrm_host_root is '/srv'" in reasons["far-02"]


def test_one_that_passes_is_enough_for_any(machines: Machines, mixed: Path) -> None:
    ended = machines.play(mixed, run_id=RUN_ID, exit_policy="any")
    assert ended.returncode == 0, ended.stdout
    verdict = machines.verdict()
    assert statuses(verdict) == {"far-01": "unreachable", "far-02": "failed", "here": "passed"}
    assert phases(verdict) == {"far-01": "unreachable", "far-02": "storage", "here": None}
    reasons = {row["host"]: " ".join(row["reasons"]) for row in verdict["results"]}
    assert f"no record of run {RUN_ID} for host far-02" in reasons["far-02"]
    assert "LoadGen's own words" in ended.stdout
    assert "1 of 3 hosts passed, one must: passed." in ended.stdout
    # A closed run is only read.
    assert not (machines.folder / "storage/runs" / RUN_ID / "verdict.json").exists()
    limit = machines.folder / "verdicts" / f"failed-{RUN_ID}.limit"
    assert limit.read_text() == "far-01\nfar-02\nlocalhost\n"


def test_the_limit_file_runs_what_did_not_pass(machines: Machines, mixed: Path) -> None:
    limit = machines.folder / "verdicts" / f"failed-{RUN_ID}.limit"
    ended = machines.play(mixed, "--limit", f"@{limit}", run_id=RUN_ID)
    assert ended.returncode != 0, ended.stdout
    assert statuses(machines.verdict()) == {"far-01": "unreachable", "far-02": "failed"}


@pytest.mark.parametrize("limit", ["far-01", "all:&far-01"])
def test_a_limit_to_a_host_that_is_lost_ends_with_a_verdict(
    machines: Machines, mixed: Path, limit: str
) -> None:
    ended = machines.play(mixed, "--limit", limit)
    assert ended.returncode != 0, ended.stdout
    assert statuses(machines.verdict()) == {"far-01": "unreachable"}, ended.stdout
    assert "0 of 1 hosts passed, all must: FAILED." in ended.stdout


def test_too_small_a_share_is_not_enough(machines: Machines, mixed: Path) -> None:
    ended = machines.play(mixed, run_id=RUN_ID, exit_policy="34%")
    assert ended.returncode != 0, ended.stdout
    verdict = machines.verdict()
    assert (verdict["exit_policy"], verdict["passed"]) == ("34%", False)
    assert "1 of 3 hosts passed, 34 % must: FAILED." in ended.stdout


def test_without_storage_nothing_is_measured(machines: Machines) -> None:
    inventory = machines.inventory("unstored", {"here": {}}, storage="off-01")
    ended = machines.play(inventory)
    assert ended.returncode != 0, ended.stdout
    verdict = machines.verdict()
    assert phases(verdict) == {"here": "storage"}, ended.stdout
    assert "Nothing was run: the storage node off-01" in verdict["results"][0]["reasons"][0]
    assert "Run every stage that is not done" not in ended.stdout


def test_no_machine_is_refused(machines: Machines) -> None:
    inventory = machines.inventory("elsewhere", {"far-01": {}}, storage="here")
    ended = machines.play(inventory, "--limit", "here")
    assert ended.returncode != 0, ended.stdout
    assert "under --limit 'here'" in " ".join(ended.stdout.split()), ended.stdout


# This test is last, because its limit file replaces the one used above.
def test_one_that_ansible_lost_does_not_decide_the_exit_code(machines: Machines) -> None:
    inventory = machines.inventory("broken", {"here": {}, "far-01": BREAKS})
    ended = machines.play(inventory, run_id=RUN_ID, exit_policy="any")
    assert "fatal: [far-01]: UNREACHABLE!" in ended.stdout, "Ansible did not lose it"
    assert ended.returncode == 0, ended.stdout
    assert statuses(machines.verdict()) == {"far-01": "unreachable", "here": "passed"}
