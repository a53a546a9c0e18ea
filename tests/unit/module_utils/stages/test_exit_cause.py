from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.stages.exit_cause import (
    End,
    exit_cause,
    on_host,
    said_in_log,
    tail,
)

BOOM = "cannot x: y."


@pytest.mark.parametrize(
    ("exit_code", "known", "cause", "words"),
    [
        pytest.param(137, {"oom_killed": True}, "out of memory", "use a host with more", id="oom"),
        pytest.param(
            1, {"oom_killed": True, "said": BOOM}, "out of memory", "a process", id="oom worker"
        ),
        pytest.param(
            137, {"kernel_kills": 2}, "out of memory", "killed 2 processes for lack", id="host oom"
        ),
        pytest.param(
            1,
            {"kernel_kills": 1, "said": "worker 3 was ended by SIGKILL"},
            "out of memory",
            "worker 3",
            id="host oom of a worker",
        ),
        pytest.param(143, {"kernel_kills": 1}, "signal 15", "SIGTERM", id="another's oom"),
        pytest.param(124, {"at_deadline": True}, "deadline", "-e deadline=2h", id="deadline"),
        pytest.param(
            137, {"at_deadline": True}, "deadline", "exit code 137", id="deadline by KILL"
        ),
        pytest.param(137, {}, "signal 9", "SIGKILL", id="killed"),
        pytest.param(143, {}, "signal 15", "SIGTERM", id="terminated"),
        pytest.param(139, {}, "signal 11", "SIGSEGV", id="crashed"),
        pytest.param(135, {}, "signal 7", "Free space in /dev/shm", id="bus error"),
        pytest.param(132, {}, "signal 4", "this CPU does not have", id="illegal instruction"),
        pytest.param(255, {"rebooted": True}, "host rebooted", "while stage dump", id="reboot"),
        pytest.param(143, {"rebooted": True}, "host rebooted", "exit code 143", id="shutdown"),
        pytest.param(
            1,
            {"rebooted": True, "said": "it got SIGTERM at T"},
            "host rebooted",
            "at T",
            id="shutdown, said",
        ),
        pytest.param(
            1, {"rebooted": True, "said": BOOM}, "exception", BOOM, id="failed before a reboot"
        ),
        pytest.param(
            1, {"said": "cannot write: [Errno 28] x"}, "no space", "cannot write", id="full"
        ),
        pytest.param(1, {"said": "the disk is full (0 GiB)"}, "no space", "full", id="disk"),
        pytest.param(1, {"said": "it ran out of memory: x"}, "out of memory", "x", id="malloc"),
        pytest.param(1, {"said": "it got SIGTERM at T"}, "signal 15", "at T", id="stopped"),
        pytest.param(1, {"said": BOOM}, "exception", BOOM, id="said"),
        pytest.param(2, {"log_tail": ["tail"]}, "exception", "last line was 'tail'", id="unsaid"),
        pytest.param(
            1, {"log_tail": ["OSError: [Errno 28] a"]}, "no space", "Errno 28", id="full, unsaid"
        ),
        pytest.param(1, {"log_tail": ["MemoryError"]}, "out of memory", "Mem", id="malloc, unsaid"),
        pytest.param(3, {}, "exception", "it wrote no message", id="silent"),
        pytest.param(127, {}, "exception", "exit code 127", id="no command"),
        pytest.param(255, {}, "engine gone", "stopped while", id="engine"),
        pytest.param(0, {}, "no manifest", "there is no stage.json", id="no manifest"),
        pytest.param(0, {"damage": "it is short"}, "no manifest", "it is short", id="damaged"),
    ],
)
def test_causes(exit_code: int, known: dict[str, Any], cause: str, words: str) -> None:
    found, message = exit_cause("dump", End(exit_code, **known))
    assert found == cause
    assert words in message


def test_the_containers_last_word_is_found_in_its_log() -> None:
    lines = ["x begins", "2026-01-31 12:00:00,000 failed: cannot do: x. Do y.", "done"]
    assert said_in_log(lines) == "cannot do: x. Do y."
    assert said_in_log(["all well"]) == ""


def test_container_paths_become_the_hosts() -> None:
    paths = {
        "/dlrm/output": "/srv/dlrm/stages/dump/ab",
        "/dlrm/source": "/data/criteo",
        "/dlrm/inputs/dump": "/srv/dlrm/stages/dump/cd",
    }
    text = "'/dlrm/source/day_23.npy' and /dlrm/inputs/dump/x.pt, not /dlrm/source-code"
    assert on_host(text, paths) == (
        "'/data/criteo/day_23.npy' and /srv/dlrm/stages/dump/cd/x.pt, not /dlrm/source-code"
    )


def test_tail_shows_no_control_characters() -> None:
    assert tail(b"\x1b[2Ja\r\nb\xff\tc\n\n", {}) == [" [2Ja", "b\ufffd c"]
