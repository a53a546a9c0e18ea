"""Callback dlrm_terminal: what a machine says reaches no terminal unescaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import playbook
import pytest

SAID = "\x1b]0;owned\x07\x1b[2J\u202ereversed\x9b31m"


def control_characters(text: str) -> str:
    return "".join(one for one in text if not one.isprintable() and one not in "\n\t")


def played(folder: Path, task: dict[str, Any], *options: str) -> str:
    """What is printed of a task that a module of the machine's own choice answers."""
    ended = playbook.run(folder, [{"name": "Ask", **task}], *options)
    assert "Ask" in ended.output
    return ended.output


@pytest.mark.parametrize(
    "task",
    [
        pytest.param({"ansible.builtin.debug": {"msg": SAID}}, id="debug"),
        pytest.param({"ansible.builtin.fail": {"msg": SAID}}, id="failure"),
    ],
)
def test_nothing_that_a_terminal_acts_on_is_printed(tmp_path: Path, task: dict[str, Any]) -> None:
    printed = played(tmp_path / "play", task, "-v", "--diff")
    assert control_characters(printed) == ""


def test_what_was_said_can_still_be_read(tmp_path: Path) -> None:
    printed = played(tmp_path / "play", {"ansible.builtin.fail": {"msg": f"größer {SAID}"}})
    assert "größer \\x1b]0;owned\\x07\\x1b[2J\\u202ereversed\\x9b31m" in printed


def test_ansibles_own_colours_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_FORCE_COLOR", "1")
    task = {"ansible.builtin.fail": {"msg": SAID}}
    process = playbook.start(tmp_path / "play", [{"name": "Ask", **task}])
    printed, _ = process.communicate(timeout=120)
    assert set(control_characters(printed)) <= {"\x1b"}
    assert "\\x1b[2J" in printed
