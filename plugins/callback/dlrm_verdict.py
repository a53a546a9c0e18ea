"""Refuses options that skip tasks, and fails a benchmark that ends without a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: dlrm_verdict
type: aggregate
short_description: Let no benchmark pass without a verdict
description:
  - Playbooks of this project are run whole. C(--tags), C(--skip-tags) and C(--start-at-task) would
    skip plays, and Ansible calls a playbook passed when nothing in it failed. They are refused
    before the first play, with exit code 2.
  - A play that judges has the variable C(dlrm_judges). When such a play was to come, nothing
    failed and none of its tasks ran, the command ends with exit code 1.
"""

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"


def skipping(arguments: Mapping[str, Any]) -> list[str]:
    """The options of ansible-playbook that would skip tasks, as they are typed."""
    tags = [tag for tag in arguments.get("tags") or () if tag != "all"]
    found = [f"--tags {','.join(tags)}"] if tags else []
    if arguments.get("skip_tags"):
        found.append(f"--skip-tags {','.join(arguments['skip_tags'])}")
    if arguments.get("start_at_task"):
        found.append(f"--start-at-task {arguments['start_at_task']!r}")
    return found


def is_ours(play: Any) -> bool:
    """Whether the play stands in a playbook of this project."""
    return PLAYBOOKS in Path(str(play.get_path()).rsplit(":", 1)[0]).resolve().parents


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "dlrm_verdict"

    def __init__(self) -> None:
        super().__init__()
        self.judge_to_come = False
        self.judges = False

    def v2_playbook_on_start(self, playbook: Any) -> None:
        plays = [play for play in playbook.get_plays() if is_ours(play)]
        found = skipping(context.CLIARGS) if plays else []
        if found:
            self._end(
                2,
                f"Nothing was run: {' and '.join(found)} would skip tasks, and a skipped task"
                " cannot fail. Leave it out. To choose hosts, use --limit. To make stages anew, use"
                " -e force_stages=NAME.",
            )
        self.judge_to_come = any("dlrm_judges" in play.vars for play in plays)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self.judges = "dlrm_judges" in play.vars

    def v2_playbook_on_task_start(self, *_task: Any, **_conditional: Any) -> None:
        if self.judges:
            self.judge_to_come = False

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if self.judge_to_come and not (stats.failures or stats.dark):
            self._end(
                1,
                "Not passed: the playbook ended without a verdict. Read above which plays found no"
                " host or were skipped.",
            )

    def _end(self, code: int, message: str) -> None:
        """Ansible takes an exception of a callback for a warning, but not SystemExit."""
        self._display.error(message, wrap_text=False)
        raise SystemExit(code)
