"""A key of the user's own opens a shell without the gate: visits are off, and words say so."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_run import RUN_ID
from module_runner import run_module
from visited_hosts import GOOD, Node, lines_of

import dlrm_spool

# As a login shell does: what it does not know, it answers with 127.
SHELL = 'exec bash -c "$SSH_ORIGINAL_COMMAND"'


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Node:
    return Node(tmp_path, capsys)


def test_the_run_is_not_announced_and_a_warning_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where other tests loaded the controller's code, Ansible shows a warning and returns none.
    warned: list[str] = []
    monkeypatch.setattr("dlrm_spool.AnsibleModule.warn", lambda _module, text: warned.append(text))
    given = {
        "storage_root": str(tmp_path / "storage"),
        "folder": str(tmp_path / "keys"),
        "fleet": "lab",
        "host": "arm-01",
        "run_id": RUN_ID,
        "entry": {"host_root": "/srv/dlrm"},
    }
    own = {"address": "192.0.2.10", "user": "u", "key_file": "/home/u/key", "fleet_dir": "/k"}
    found = run_module(dlrm_spool, capsys, **given, source=own)
    [warning] = warned
    assert "visits are off" in warning
    assert "give it again" in warning
    assert (found["changed"], found["path"]) == (False, "")
    assert not (tmp_path / "storage/spool").exists()
    # One machine needs no key.
    here = run_module(dlrm_spool, capsys, **given, source={**own, "address": ""})
    assert Path(here["path"]).is_file()
    fleets = run_module(dlrm_spool, capsys, **given, source={**own, "key_file": ""})
    assert Path(fleets["path"]).is_file()


def test_a_run_that_was_announced_with_such_a_key_is_told_what_is_wrong(node: Node) -> None:
    """As an earlier release announced it."""
    node.has_a_run("a-own")
    node.has_a_liar("a-own", SHELL)
    lines, err = node.visit()
    assert node.not_served() == [], err
    assert len(lines) == 1 + len(GOOD)
    [line] = lines_of(lines, "a-own")
    assert "rsync is missing" not in line
    assert "only the gate of the fleet's two keys knows the question" in line
    assert "Give the run's command again" in line
