"""Prints what an operator reads; keeps all of Ansible's output in a log."""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import os
import re
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleError
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default
from ansible.plugins.loader import filter_loader
from ansible.template import Templar
from ansible.utils.display import Display

DOCUMENTATION = r"""
name: dlrm_output
type: stdout
short_description: Print what happens in few lines, and keep all output in a log
description:
  - Prints a line for each play and each stage, messages, refusals and failures in their own
    words, each once, warnings, and what changes with C(--check) or C(--diff).
  - With C(-v), all of Ansible's output is printed. So it is with
    C(ANSIBLE_STDOUT_CALLBACK=default), which writes no log.
  - All of Ansible's output goes to a file below C(dlrm_verdict_dir)/logs, without secrets. The
    last line names it. The newest 100 are kept. A log that cannot be written fails no command.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout in configuration
"""

OURS = Path(__file__).resolve().parents[2] / "module_utils" / "dlrm_fleet"
# A line that an action plugin of this project prints.
LINE = re.compile(r"\[([^\]\s]{1,200})\] (.+)", re.DOTALL)
# More different texts of one task are left to the log.
TEXTS = 3
# Longer texts of a machine are left to the log; what the controller says is shown whole.
HOST_LINES = 3
# Lines that are shown of one of a loop's texts (LoadGen's results and latencies), and of a failure.
ITEM_LINES = 19
FAILURE_LINES = 40
ERROR = constants.COLOR_ERROR


def ours(name: str) -> Any:
    """A module of module_utils/dlrm_fleet. Ansible puts that package on no path here."""
    if OURS.name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            OURS.name, OURS / "__init__.py", submodule_search_locations=[str(OURS)]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[OURS.name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return importlib.import_module(f"{OURS.name}.{name}")


class CallbackModule(Default):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "dlrm_output"

    def __init__(self) -> None:
        super().__init__()
        # The one Display of the process.
        self._screen: Any = Display()
        self._display: Any = ours("support.printed").Printed(self._screen)
        self._log: Any = None
        self._warned = False
        self._lines = ours("stages.shown_lines").ShownLines(time.monotonic)
        self._wording = ours("support.output_words")
        # Lines of actions come from a thread of their own.
        self._lock = threading.RLock()
        self._headline = ""
        self._own_pace = False
        # Of one task, by its id and name: (text, colour) -> hosts that said it.
        self._words_of = ("", "")
        self._words: dict[tuple[str, str | None], list[str]] = {}
        self._diffs: set[tuple[str, str]] = set()
        self._tap(self._screen)
        atexit.register(self._end, os.getpid())

    # What is printed, and what is logged.

    def _tap(self, display: Any) -> None:
        """From now on, what this Display prints is logged, and lines of stages are thinned."""
        plain = display.display

        def display_tapped(
            msg: str,
            color: str | None = None,
            stderr: bool = False,
            screen_only: bool = False,
            log_only: bool = False,
            newline: bool = True,
            caplevel: int | None = None,
        ) -> None:
            more = {"stderr": stderr, "newline": newline, "caplevel": caplevel}
            # A worker sends it to the main process, where it comes here again.
            if getattr(display, "_final_q", None) is None:
                if not screen_only:
                    self._write(msg)
                if not screen_only and not log_only and self._thinned(msg):
                    log_only = True
            plain(msg, color, screen_only=screen_only, log_only=log_only, **more)
            if not log_only:
                flush()

        display.display = display_tapped

    def _write(self, msg: str) -> None:
        if self._log is None:
            return
        self._log.write(msg)
        self._warn()

    def _warn(self) -> None:
        """Once, if there is no log or it ends early."""
        if self._log.why and not self._warned:
            self._warned = True
            self._screen.warning(f"{self._log.why} The command goes on.")

    def _thinned(self, msg: str) -> bool:
        """Whether this was a stage's line; then what is to be shown of it was shown."""
        found = LINE.fullmatch(msg)
        if found is None or self._screen.verbosity:
            return False
        with self._lock:
            self._show(self._lines.said(found[1], found[2]))
        return True

    def _show(self, lines: list[str]) -> None:
        """Lines of stages, after what was said before."""
        if lines and not self._screen.verbosity:
            self._flush()
            for line in lines:
                self._screen.display(line, screen_only=True)

    def _say(self, result: Any, text: str, color: str | None = None) -> None:
        """Words of a task; what several hosts say alike is printed once."""
        with self._lock:
            task = (result.task._uuid, title(result))
            if self._words_of[0] != task[0]:
                self._flush()
            self._words_of = task
            name = result.host.get_name()
            nobody = name == "localhost" or result.task.run_once is True
            self._words.setdefault((text, color), []).append("" if nobody else name)

    def _flush(self) -> None:
        with self._lock:
            words, self._words = self._words, {}
            if not words or self._screen.verbosity:
                return
            self._head()
            plain = all(color is None for _text, color in words)
            if len(words) > TEXTS and plain and not shows_changes():
                words = {(f"{self._words_of[1]}: {len(words)} texts are in the log", None): []}
            for (text, color), names in words.items():
                self._screen.display(
                    f"{self._wording.label(names)}{text}", color=color, screen_only=True
                )

    def _head(self) -> None:
        """The play's name, once."""
        with self._lock:
            headline, self._headline = self._headline, ""
            if headline and not self._screen.verbosity:
                self._screen.display(headline, color=constants.COLOR_HIGHLIGHT, screen_only=True)

    # Playbook and plays.

    def v2_playbook_on_start(self, playbook: Any) -> None:
        if self._log is None:
            self._open_log(playbook)
        super().v2_playbook_on_start(playbook)

    def _open_log(self, playbook: Any) -> None:
        """One for the command, named after its first playbook."""
        name = Path(str(playbook._file_name)).stem
        make = ours("support.output_log").OutputLog
        self._log = make(verdict_folder(playbook) / "logs", name, datetime.now(UTC))
        # What was printed before there was a log.
        for said in ("_warns", "_deprecations", "_errors"):
            for text in sorted(getattr(self._screen, said, ())):
                self._log.write(text)
        self._warn()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._flush()
        self._show(self._lines.close())
        super().v2_playbook_on_play_start(play)
        self._headline = play.get_name().strip()
        inventory = play.get_variable_manager()._inventory
        names = {host.name for host in inventory.get_hosts(play.hosts)} - {"localhost"}
        self._lines.hosts = max(1, len(names))
        pace = str(play.strategy).rsplit(".", 1)[-1] in ("free", "host_pinned")
        self._own_pace = pace and len(names) > TEXTS

    def v2_playbook_on_no_hosts_matched(self) -> None:
        super().v2_playbook_on_no_hosts_matched()
        self._head()
        self._show(["Skipped: this play matches no host"])

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._flush()
        super().v2_playbook_on_task_start(task, is_conditional)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._flush()
        super().v2_playbook_on_handler_task_start(task)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._flush()
        self._show(self._lines.close())
        super().v2_playbook_on_stats(stats)
        checks = bool(context.CLIARGS.get("check"))
        words = self._wording.outcome(stats.changed, stats.failures, stats.dark, checks)
        self._show([words])

    def _end(self, process: int) -> None:
        """At the end of the process, however it ends: what is still to be said."""
        if os.getpid() != process:
            return
        self._flush()
        if self._log is not None and self._log.path is not None:
            self._screen.display(f"All of Ansible's output: {self._log.path}", screen_only=True)

    # Results of tasks.

    def v2_runner_on_ok(self, result: Any) -> None:
        text = None if result.task.loop else self._debug_text(result)
        super().v2_runner_on_ok(result)
        if isinstance(result.task, TaskInclude):
            return
        if result.host.get_name() != "localhost":
            self._head()
        if text:
            self._tell(result, text)
        elif result.task.action == "dlrm_stage":
            self._stage(result)
        elif result.result.get("changed"):
            self._change(result)

    def _tell(self, result: Any, text: str) -> None:
        """What a debug task says. A machine of a fleet that goes at its own pace is left out."""
        lines = text.count("\n") + 1
        of_controller = result.host.get_name() == "localhost" or result.task.run_once is True
        if of_controller or lines <= HOST_LINES:
            shown = text
        else:
            shown = f"{title(result)}: {lines} lines are in the log"
        if of_controller or not self._own_pace:
            self._say(result, shown)

    def _stage(self, result: Any) -> None:
        name, seen = result.host.get_name(), result.result
        stage, state, lines = seen.get("stage"), seen.get("state"), seen.get("lines")
        line = lines[-1] if isinstance(lines, list) and lines else f"{stage} {state}"
        with self._lock:
            self._show(self._lines.ended(name, str(stage), str(state), str(line)))

    def _change(self, result: Any) -> None:
        """What changes, where the operator asks for it; a diff has named it already."""
        named = (result.host.get_name(), result.task._uuid) in self._diffs or result.task.loop
        if shows_changes() and not named:
            self._say(result, change(result))

    def v2_on_file_diff(self, result: Any) -> None:
        super().v2_on_file_diff(result)
        items = result.result.get("results") if result.task.loop else [result.result]
        changed = [one for one in items or [] if isinstance(one, dict) and one.get("changed")]
        diffs = [self._get_diff(one["diff"]) for one in changed if one.get("diff")]
        text = "".join(diffs).rstrip("\n")
        if text:
            self._diffs.add((result.host.get_name(), result.task._uuid))
            self._say(result, f"{change(result)}\n{text}")

    def v2_runner_item_on_ok(self, result: Any) -> None:
        text = self._debug_text(result)
        super().v2_runner_item_on_ok(result)
        if text:
            self._say(
                result, self._wording.shortened(self._wording.without_rules(text), ITEM_LINES, 0)
            )
        shown_below = context.CLIARGS.get("diff") and result.result.get("diff")
        if result.result.get("changed") and shows_changes() and not shown_below:
            self._say(result, f"{change(result)} ({self._get_item_label(result.result)})")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        texts = self._failures(result)
        hide(result)
        super().v2_runner_on_failed(result, ignore_errors)
        if not ignore_errors:
            self._fail(result, texts)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        hide(result)
        super().v2_runner_item_on_failed(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        texts = self._failures(result)
        hide(result)
        super().v2_runner_on_unreachable(result)
        if not result.task.ignore_unreachable:
            self._fail(result, [f"unreachable: {text}" for text in texts])

    def _fail(self, result: Any, texts: list[str]) -> None:
        for text in texts:
            short = self._wording.shortened(text, FAILURE_LINES // 2, FAILURE_LINES // 2)
            self._say(result, short, ERROR)
        with self._lock:
            self._show(self._lines.lost(result.host.get_name()))

    def _failures(self, result: Any) -> list[str]:
        """A refusal speaks for itself; of all else the task says what was tried."""
        refuses = result.task.action.rsplit(".", 1)[-1] in ("assert", "fail")
        head = "" if refuses else f"{title(result)}: "
        return [f"{head}{text}" for text in self._wording.failures(result.result, reason)]

    def _debug_text(self, result: Any) -> str | None:
        """What a debug task says; None of any other."""
        said = result.result
        if result.task.action not in constants._ACTION_DEBUG or said.get("censored"):
            return None
        msg = said.get("msg")
        if isinstance(msg, list) and all(isinstance(line, str) for line in msg):
            return "\n".join(msg)
        if isinstance(msg, str):
            return msg.rstrip("\n")
        shown = {key: said[key] for key in said if key not in self._hide_in_debug}
        return str(self._dump_results({"msg": msg} if msg is not None else shown)).strip("\n")


def hide(result: Any) -> None:
    """Removes the exception of what no_log hides: it repeats the message."""
    if result.result.get("censored"):
        result.result.pop("exception", None)


def reason(failed: dict[str, Any]) -> str:
    """In the verdict's words."""
    words = filter_loader.get("dlrm_reason")
    if words is None:
        return str(failed.get("msg", "no message"))
    return str(words.j2_function(failed))


def title(result: Any) -> str:
    """A task's name without the file it stands in."""
    return str(result.task_name).rsplit(" | ", 1)[-1]


def shows_changes() -> bool:
    return bool(context.CLIARGS.get("check") or context.CLIARGS.get("diff"))


def change(result: Any) -> str:
    said = "would change" if context.CLIARGS.get("check") else "changed"
    return f"{said}: {title(result)}"


def verdict_folder(playbook: Any) -> Path:
    """dlrm_verdict_dir as localhost sees it, else its default."""
    state = os.environ.get("XDG_STATE_HOME") or f"{os.environ.get('HOME', '')}/.local/state"
    default = Path(state) / "dlrm-fleet"
    plays = playbook.get_plays()
    if not plays:
        return default
    manager = plays[0].get_variable_manager()
    localhost = manager._inventory.get_host("localhost")
    with suppress(AnsibleError):
        variables = manager.get_vars(host=localhost, include_hostvars=False)
        told = variables.get("dlrm_verdict_dir")
        if told:
            folder = Templar(loader=manager._loader, variables=variables).template(told)
            return Path(str(folder)).expanduser()
    return default


def flush() -> None:
    """Into a pipe or a file, too, a line is written when it is said."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
