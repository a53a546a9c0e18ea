"""What a part's frame decides: how long a task may take, and what a failure is called."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import playbook
import pytest

PATH = playbook.REPOSITORY / "plugins/filter/dlrm_frame.py"
HOUR = 3600


def loaded() -> Any:
    spec = importlib.util.spec_from_file_location("filter_dlrm_frame", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FRAME = loaded()


@pytest.mark.parametrize(
    ("ends", "now", "wanted"),
    [
        pytest.param(0, 5000, HOUR + 60, id="not opened yet"),
        pytest.param(5000 + 2000, 5000, 2000 + 60, id="what is left"),
        pytest.param(5000 + 100, 5000, HOUR // 4 + 60, id="a quarter, to bring results home"),
        pytest.param(5000, 9000, HOUR // 4 + 60, id="beyond the deadline"),
        pytest.param(5000 + 10 * HOUR, 5000, HOUR + 60, id="a clock that was set back"),
    ],
)
def test_a_task_ends_in_time_to_bring_results_home(ends: int, now: int, wanted: int) -> None:
    assert FRAME.dlrm_seconds(ends, HOUR, now) == wanted


def test_a_reason_is_the_message_and_stderr() -> None:
    assert FRAME.dlrm_reason({"msg": "no disk", "stderr": " dd: full\n"}) == "no disk: dd: full"
    assert FRAME.dlrm_reason({"msg": "no disk", "stderr": ""}) == "no disk"
    assert FRAME.dlrm_reason({"stderr": "dd: full"}) == "no message: dd: full"
    assert FRAME.dlrm_reason({"msg": "", "stderr": "dd: full"}) == "dd: full"
    assert FRAME.dlrm_reason({}) == "no message"


LOOP = {
    "msg": "One or more items failed",
    "results": [{"msg": "fine"}, {"failed": False}, {"failed": True, "msg": "disk full"}],
}


def test_of_a_loop_the_item_that_failed_speaks() -> None:
    assert FRAME.dlrm_reason(LOOP) == "disk full"
    assert FRAME.dlrm_reason({"msg": "kept", "results": [{"failed": False}]}) == "kept"


def test_a_package_managers_lines_are_no_items() -> None:
    assert FRAME.dlrm_reason({"msg": "no mirror", "results": ["failed: rsync"]}) == "no mirror"


@pytest.mark.parametrize(
    ("action", "phase"), [("dlrm_reachable", "unreachable"), ("dlrm_stage", "stages")]
)
def test_a_host_that_does_not_answer_is_unreachable(action: str, phase: str) -> None:
    found = FRAME.dlrm_failure(LOOP, action, "stages", "node1")
    assert found == {"phase": phase, "message": "disk full"}


@pytest.mark.parametrize("inside", [True, False])
def test_a_task_that_hangs_is_a_host_that_does_not_answer(inside: bool) -> None:
    hung = {"failed": True, "msg": "Timed out", "timedout": {"period": 77}}
    result = {"msg": "One failed", "results": [hung]} if inside else hung
    found = FRAME.dlrm_failure(result, "dlrm_stage", "stages", "node1")
    assert found["phase"] == "unreachable"
    assert found["message"].startswith("node1 neither answered nor closed the connection for 77 s")
    assert "in the part 'stages'." in found["message"]


@pytest.mark.parametrize("again", [True, False])
def test_the_frame_keeps_the_first_failure_and_goes_on(tmp_path: Path, again: bool) -> None:
    """What fails in a part that is tried again by a later play is not kept."""
    failing = {"name": "Fail", "ansible.builtin.fail": {"msg": "disk {{ item }}"}, "loop": ["full"]}
    (tmp_path / "failing.yml").write_text(json.dumps([failing]))
    tasks = playbook.REPOSITORY / "playbooks/tasks"
    part = {"name": "Part", "ansible.builtin.include_tasks": f"{tasks}/frame/part.yml"}
    facts = ("dlrm_failure", "dlrm_run_measures", "dlrm_result")
    keep = {"seen": {name: f"{{{{ {name} | default(none) }}}}" for name in facts}}
    said = {
        "dlrm_part": os.path.relpath(tmp_path / "failing.yml", tasks),
        "dlrm_phase": "image",
        "dlrm_tried_again": again,
        "dlrm_request": {"deadline_seconds": 60},
    }
    ended = playbook.run(
        tmp_path,
        [part, {"name": "Facts", "ansible.builtin.set_fact": keep}, *playbook.saved(tmp_path)],
        variables=said,
    )
    assert ended.code == 0, ended.output
    seen = playbook.seen(tmp_path)
    kept = {"phase": "image", "message": "disk full"}
    assert seen["dlrm_failure"] == (None if again else kept)
    assert seen["dlrm_run_measures"] is (None if again else False)
    # Counted as lost until somebody says otherwise.
    assert seen["dlrm_result"]["failure"]["phase"] == "unreachable"


def test_it_imports_nothing_of_ours() -> None:
    assert "dlrm_fleet" not in PATH.read_text()
