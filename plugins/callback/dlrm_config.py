"""Ends a playbook of this project before its first play if its settings are not in effect."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: dlrm_config
type: aggregate
short_description: Refuse to run without the settings of this project
description:
  - Ansible reads one ansible.cfg; the environment variable ANSIBLE_CONFIG or the folder where the
    command is started decides which. It ignores the one in a folder to which everybody may write.
    Without this project's settings, its plugins are not found, and plays fail for reasons that
    mislead. So the command ends before the first play, with exit code 2, and says why.
  - Ansible finds this plugin also without settings, since C(playbooks/callback_plugins) leads here.
"""

PROJECT = Path(__file__).resolve().parents[2]
CONFIG = PROJECT / "ansible.cfg"
# Lines of ansible.cfg without which plays cannot work: Ansible's name, ours, the folder.
NEEDED = (
    ("DEFAULT_ROLES_PATH", "roles_path", "roles"),
    ("DEFAULT_MODULE_PATH", "library", "library"),
    ("DEFAULT_MODULE_UTILS_PATH", "module_utils", "module_utils"),
    ("DEFAULT_ACTION_PLUGIN_PATH", "action_plugins", "plugins/action"),
    ("DEFAULT_CALLBACK_PLUGIN_PATH", "callback_plugins", "plugins/callback"),
    ("DEFAULT_FILTER_PLUGIN_PATH", "filter_plugins", "plugins/filter"),
)


def refusal(config: str | None, lacking: list[str], environment: Mapping[str, str]) -> str:
    """Empty if the settings are in effect. `config`: the file that Ansible read, if any."""
    if config and Path(config).resolve().parent == PROJECT:
        if not lacking:
            return ""
        return (
            f"Nothing was run: {config} does not set {', '.join(lacking)} of section [defaults] as"
            f" {CONFIG} does. Copy these lines from there."
        )
    found = f"{config} is" if config else "no file is, only Ansible's own defaults are"
    return (
        f"Nothing was run: the settings of this project, {CONFIG}, are not in effect; {found}."
        f" {_why(environment)}"
    )


def _why(environment: Mapping[str, str]) -> str:
    export = f"export ANSIBLE_CONFIG={shlex.quote(str(CONFIG))}"
    named = environment.get("ANSIBLE_CONFIG")
    if named is not None:
        return f"The environment variable ANSIBLE_CONFIG names {named!r}. Instead: {export}"
    here = Path.cwd()
    mode = stat.S_IMODE(here.stat().st_mode)
    if here == PROJECT and mode & stat.S_IWOTH:
        return (
            f"Ansible ignores the file, because everybody may write to the folder {here} (mode"
            f" {mode:04o}). Take that right away: chmod o-w {shlex.quote(str(here))}. If that is"
            f" not possible, and you trust all who can write there: {export}"
        )
    return (
        f"The command was started in {here}, and Ansible looks for ansible.cfg only in that folder."
        f" Start it in {PROJECT}, or say: {export}"
    )


def lacking() -> list[str]:
    """Needed settings that do not name this project's folder."""
    return [
        ours
        for name, ours, folder in NEEDED
        if PROJECT / folder not in [Path(one).resolve() for one in getattr(constants, name) or ()]
    ]


def is_ours(play: Any) -> bool:
    """Whether the play stands in a playbook of this project."""
    return PROJECT / "playbooks" in Path(str(play.get_path()).rsplit(":", 1)[0]).resolve().parents


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "dlrm_config"

    def v2_playbook_on_start(self, playbook: Any) -> None:
        if not any(map(is_ours, playbook.get_plays())):
            return
        said = refusal(constants.CONFIG_FILE, lacking(), os.environ)
        if said:
            self._display.error(said, wrap_text=False)
            # Ansible takes an exception of a callback for a warning, but not SystemExit.
            raise SystemExit(2)
