from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.stage_exit import exit_cause


@pytest.mark.parametrize(
    ("exit_code", "oom", "at_deadline", "said", "cause", "words"),
    [
        pytest.param(137, True, False, "", "out of memory", "take one with more", id="oom"),
        pytest.param(1, True, False, "boom", "out of memory", "a process of its", id="oom worker"),
        pytest.param(124, False, True, "", "deadline", "-e deadline=2h", id="deadline"),
        pytest.param(137, False, True, "", "deadline", "exit code 137", id="deadline by KILL"),
        pytest.param(137, False, False, "", "signal 9", "SIGKILL", id="killed"),
        pytest.param(143, False, False, "", "signal 15", "SIGTERM", id="terminated"),
        pytest.param(139, False, False, "", "signal 11", "SIGSEGV", id="crashed"),
        pytest.param(
            1, False, False, "cannot write: [Errno 28] x", "no space", "cannot write", id="full"
        ),
        pytest.param(1, False, False, "the disk is full (0.0 GiB)", "no space", "full", id="disk"),
        pytest.param(
            1, False, False, "stage 'a' ran out of memory: x", "out of memory", "'a'", id="malloc"
        ),
        pytest.param(1, False, False, "it got SIGTERM at T", "signal 15", "at T", id="stopped"),
        pytest.param(1, False, False, "cannot x: y.", "exception", "cannot x: y.", id="said"),
        pytest.param(2, False, False, "", "exception", "its last line was 'tail'", id="unsaid"),
        pytest.param(127, False, False, "", "exception", "exit code 127", id="no command"),
        pytest.param(255, False, False, "", "engine gone", "stopped while", id="engine"),
        pytest.param(0, False, False, "", "no manifest", "without stage.json", id="no manifest"),
    ],
)
def test_causes(
    exit_code: int, oom: bool, at_deadline: bool, said: str, cause: str, words: str
) -> None:
    status: dict[str, Any] | None = {"state": "failed", "message": said} if said else None
    found, message = exit_cause("dump", exit_code, oom, at_deadline, status, "tail")
    assert found == cause
    assert words in message


def test_a_running_status_says_nothing_about_the_end() -> None:
    status = {"state": "running", "message": "old"}
    assert exit_cause("dump", 3, False, False, status, "")[1].count("wrote no message") == 1
