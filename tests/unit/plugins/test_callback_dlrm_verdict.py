"""A playbook that Ansible was told to skip does not count as passed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
ANSIBLE_PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
# Judges, but its play finds no host.
NO_JUDGE = """
- hosts: nobody
  gather_facts: false
  vars: {dlrm_judges: true}
  tasks: [{ansible.builtin.meta: noop}]
"""


def ran(playbook: str | Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ANSIBLE_PLAYBOOK, str(playbook), *words],
        cwd=REPOSITORY,
        env={**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--tags", "performance"),
        ("--skip-tags", "all"),
        ("--skip-tags", "always"),
        ("--start-at-task", "anything"),
    ],
)
def test_what_would_skip_tasks_is_refused(words: tuple[str, str]) -> None:
    done = ran("run_benchmark.yml", "-e", "precision=int8", *words)
    assert done.returncode == 2, done.stdout
    assert "PLAY RECAP" not in done.stdout, "a play was run"
    assert f"{words[0]} " in done.stderr
    assert "would skip tasks" in done.stderr


def test_tags_of_the_environment_are_refused_too() -> None:
    done = ran("run_benchmark.yml", "-e", "precision=int8", ANSIBLE_RUN_TAGS="performance")
    assert done.returncode != 0, done.stdout
    assert "would skip tasks" in done.stderr


def test_all_tags_skip_nothing() -> None:
    """The request is read, and refused for its own fault."""
    done = ran("run_benchmark.yml", "-e", "precision=none", "--tags", "all")
    assert done.returncode == 2
    assert "precision" in done.stdout + done.stderr
    assert "would skip tasks" not in done.stderr


def test_a_playbook_of_somebody_else_may_have_tags(tmp_path: Path) -> None:
    own = tmp_path / "own.yml"
    own.write_text("- hosts: localhost\n  gather_facts: false\n  tasks: []\n")
    done = ran(own, "--tags", "own")
    assert done.returncode == 0, done.stderr


def test_no_verdict_is_not_passed(tmp_path: Path) -> None:
    """A copy of the plugin, beside a playbook of its own."""
    plugins = tmp_path / "plugins" / "callback"
    plugins.mkdir(parents=True)
    shutil.copy(REPOSITORY / "plugins/callback/dlrm_verdict.py", plugins)
    playbook = tmp_path / "playbooks" / "judge.yml"
    playbook.parent.mkdir()
    playbook.write_text(NO_JUDGE)
    done = ran(playbook, ANSIBLE_CALLBACK_PLUGINS=str(plugins))
    assert done.returncode == 1, done.stdout
    assert "without a verdict" in done.stderr
