"""Check mode: the same answer, also on a bare machine, and nothing touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tiny.machine import CATALOGUE, Machine


def test_bare_machine_lists_every_stage(machine: Machine, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    machine.asked = replace(machine.asked, root=bare, image=None, run_id=None)
    results = {
        entry["name"]: machine.start(entry["name"], check=True)
        for entry in CATALOGUE["stages"]
        if entry["name"] != "only_int8"
    }
    assert {result.state for result in results.values()} == {"would_run"}
    assert all(result.changed for result in results.values())
    assert results["derived"].key is None
    assert results["derived"].reason == "key known once made is done"
    assert results["measured"].reason == (
        "key known once the run id is known and the image is known"
    )
    assert results["made"].key is not None
    assert results["made"].diff == {"before": "absent\n", "after": "made by run (new)\n"}
    assert not bare.exists()


def test_done_damaged_and_running(machine: Machine) -> None:
    machine.finish("made")
    before = sorted(machine.root.rglob("*"))
    assert machine.start("made", check=True).state == "done"
    (machine.folder("made").path / "made.bin").write_bytes(b"")
    damaged = machine.start("made", check=True)
    assert (damaged.state, damaged.changed) == ("would_run", True)
    assert damaged.diff is not None
    assert damaged.diff["before"].startswith("damaged: output 'made.bin' has 0 bytes")
    assert sorted(machine.root.rglob("*")) == before
    machine.start("waiting")
    machine.until("waiting", lambda seen: "42 %" in seen.line)
    assert machine.start("waiting", check=True).reason.startswith("attached")
    assert len(machine.containers()) == 1
