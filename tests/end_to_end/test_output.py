"""What `make benchmark` prints after set-up fits a screen; its log holds everything."""

from __future__ import annotations

import re

from .fleet import Fleet

# As a user sees it; the other tests read all of Ansible's output.
SHORT = {"ANSIBLE_STDOUT_CALLBACK": "dlrm_output"}
STAGES = ("repositories", "weights", "dataset", "dump", "calibrate", "accuracy", "performance")


def test_a_run_from_nothing_fits_a_screen_and_its_log_holds_everything(fleet: Fleet) -> None:
    fleet.environment = {**SHORT, "XDG_STATE_HOME": str(fleet.folder / "state")}
    output = fleet.run(precision="int8")
    lines = output.splitlines()
    assert len(lines) <= 60, output
    for stage in STAGES:
        assert len(re.findall(rf"^\[local\] {stage} done in ", output, re.MULTILINE)) == 1, output
    for words in ("MLPerf Results Summary", "Result is : VALID", "1 of 1 hosts passed", "Verdict:"):
        assert words in output
    [log] = (fleet.folder / "state/dlrm-fleet/logs").glob("*-run_benchmark.log")
    assert lines[-1] == f"All of Ansible's output: {log}"
    kept = log.read_text()
    for words in ("PLAY RECAP", "TASK [run | request |", "changed: [local]", "schedule_rng_seed"):
        assert words in kept
    words = " ".join(kept.split())
    assert [line for line in lines if not is_in(line, words)] == []


def is_in(line: str, words: str) -> bool:
    """Whether the log says it, in Ansible's form: YAML, which folds long lines."""
    own = re.search(r"^Ended: |^All of Ansible's output: |\d+ (more )?lines are in the log$", line)
    return bool(own) or " ".join(line.removeprefix("[local] ").split()) in words


def test_a_refused_request_says_its_words_once(fleet: Fleet) -> None:
    fleet.environment = {**SHORT, "XDG_STATE_HOME": str(fleet.folder / "state")}
    output = fleet.run(succeeds=False, precision="int3")
    assert len(output.splitlines()) <= 8, output
    assert output.count("is not allowed; allowed: int8") == 1, output
