"""Callback dlrm_output: few lines for people on the terminal, all of Ansible's output in a log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
STAGES = ("weights", "dataset", "dump", "calibrate", "accuracy", "performance")
MANY = [f"host-{number:02}" for number in range(1, 33)]
# In place of the action that starts a stage: prints what it prints, returns what it returns.
STAGE_ACTION = """
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        host, stage = task_vars["inventory_hostname"], self._task.args["stage"]
        lines = [f"{stage} started, attempt 1: no result with key 0123 yet, deadline in 0:59:50"]
        lines += [f"{stage} {n} % rows, 0:0{n} elapsed, 0:01 left, deadline in 0:59:40"
                  for n in range(5)]
        lines.append(f"{stage} done in 0:05")
        for line in lines:
            self._display.display(f"[{host}] {line}")
        return {**result, "changed": True, "stage": stage, "state": "done", "lines": lines}
"""


@dataclass(frozen=True)
class Ended:
    """What one command printed, and its log; `log` is empty if there is none."""

    code: int
    output: str
    logs: list[Path]

    @property
    def lines(self) -> list[str]:
        return [line for line in self.output.splitlines() if line.strip()]

    @property
    def log(self) -> str:
        return self.logs[-1].read_text() if self.logs else ""


def start(
    folder: Path,
    plays: list[dict[str, Any]],
    *options: str,
    hosts: list[str] | None = None,
    environment: dict[str, str] | None = None,
) -> list[str]:
    plugins = folder / "action"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "dlrm_stage.py").write_text(STAGE_ACTION)
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {"all": {"hosts": dict.fromkeys(hosts or ["node1"], local)}}
    (folder / "inventory.json").write_text(json.dumps(inventory))
    (folder / "small.yml").write_text(json.dumps(plays))
    return [
        str(Path(sys.executable).with_name("ansible-playbook")),
        *("small.yml", "-i", "inventory.json"),
        *options,
    ]


def ran(folder: Path, plays: list[dict[str, Any]], *options: str, **others: Any) -> Ended:
    """As a user runs it: no terminal, the project's ansible.cfg."""
    inherited = {k: v for k, v in os.environ.items() if k != "ANSIBLE_STDOUT_CALLBACK"}
    asked = start(folder, plays, *options, **others)
    done = subprocess.run(
        asked,
        cwd=folder,
        env={
            **inherited,
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_ACTION_PLUGINS": str(folder / "action"),
            "XDG_STATE_HOME": str(folder / "state"),
            **(others.get("environment") or {}),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    logs = sorted((folder / "state/dlrm-fleet/logs").glob("*.log"))
    return Ended(done.returncode, done.stdout, logs)


def play(*tasks: dict[str, Any], hosts: str = "all", **more: Any) -> dict[str, Any]:
    return {"name": "A play", "hosts": hosts, "gather_facts": False, "tasks": [*tasks], **more}


def task(name: str, action: str, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, f"ansible.builtin.{action}": arguments, **more}


def stages() -> list[dict[str, Any]]:
    return [{"name": f"Have {stage} done", "dlrm_stage": {"stage": stage}} for stage in STAGES]


def table(rows: int) -> dict[str, Any]:
    """As the verdict is shown."""
    text = "\n".join(f"host-{row:02} passed" for row in range(1, rows + 1))
    return play(task("Show", "debug", {"msg": text}), hosts="localhost")


def test_32_hosts_take_at_most_three_lines_each(tmp_path: Path) -> None:
    plain = [task(f"Look {number}", "command", "true") for number in range(3)]
    ended = ran(tmp_path, [play(*plain, *stages()), table(len(MANY))], hosts=MANY)
    assert ended.code == 0, ended.output
    assert len(ended.lines) <= 3 * len(MANY), ended.output
    assert [host for host in MANY if f"[{host}] performance done in" not in ended.output] == []
    assert "calibrate: done on 32 hosts" in ended.output
    assert [host for host in MANY if f"[{host}] calibrate 4 % rows" not in ended.log] == []
    assert ended.log.count("changed: [host-32]") == len(plain) + len(STAGES)


def test_one_host_takes_a_line_for_each_stage(tmp_path: Path) -> None:
    ended = ran(tmp_path, [play(*stages())])
    assert ended.lines[:-1] == [
        "A play",
        *(f"[node1] {stage} done in 0:05" for stage in STAGES),
        "Ended: 6 changes",
    ]
    assert ended.lines[-1] == f"All of Ansible's output: {ended.logs[0]}"


def test_what_is_said_is_printed_once_and_what_works_is_not(tmp_path: Path) -> None:
    tasks = [
        task("Look", "command", "true", changed_when=False),
        task("Change", "command", "true"),
        task("Tell", "debug", {"msg": "words of a task"}),
        task("Tell lines", "debug", {"msg": ["one line", "another line"]}),
        task("Tell a variable", "debug", {"var": "answer"}, vars={"answer": {"of": 42}}),
    ]
    ended = ran(tmp_path, [play(*tasks)], hosts=["a", "b", "c", "d"])
    assert ended.code == 0, ended.output
    assert ended.output.count("words of a task") == 1
    assert "[a, b and 2 others] words of a task" in ended.lines
    assert "another line" in ended.lines
    assert "of: 42" in ended.output
    assert "Look" not in ended.output
    assert "Change" not in ended.output
    assert "Ended: 4 changes" in ended.lines
    for words in ("ok: [a]", "TASK [Look]", "changed: [d]", "words of a task", "of: 42", "RECAP"):
        assert words in ended.log


def test_failures_and_refusals_say_their_sentence_once(tmp_path: Path) -> None:
    tasks = [
        task("Try", "command", "sh -c 'echo no such thing >&2; exit 3'", ignore_errors=True),
        task("Work | Copy it", "copy", {"src": "/nowhere", "dest": "/tmp/nowhere/x"}),
        task("Refuse", "assert", {"that": "1 > 2", "fail_msg": "Refused: one is less."}),
    ]
    ended = ran(tmp_path, [play(*blocks(tasks))])
    assert ended.code == 2
    assert ended.output.count("Refused: one is less.") == 1
    assert "[node1] Refused: one is less." in ended.lines
    assert "no such thing" not in ended.output, "its failure is ignored"
    copied = [line for line in ended.lines if "Copy it" in line]
    assert len(copied) == 1
    assert copied[0].startswith("[node1] Copy it: ")
    assert "Could not find or access '/nowhere'" in copied[0]
    assert "Ended: 1 change; failed: node1" in ended.lines
    assert "no such thing" in ended.log
    assert "fatal: [node1]: FAILED!" in ended.log


def blocks(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each task but the last in a block that rescues it."""
    rescue = [task("Go on", "debug", {"msg": "gone on"})]
    return [*({"block": [one], "rescue": rescue} for one in tasks[:-1]), tasks[-1]]


def test_items_that_fail_are_named_each(tmp_path: Path) -> None:
    script = "sh -c 'echo {{ item }} is bad >&2; exit {{ 0 if item == \"two\" else 1 }}'"
    ended = ran(tmp_path, [play(task("Work", "command", script, loop=["one", "two", "three"]))])
    assert ended.code == 2
    assert [line for line in ended.lines if "is bad" in line] == [
        "[node1] Work: non-zero return code: one is bad",
        "[node1] Work: non-zero return code: three is bad",
    ]


def test_a_host_that_is_not_reached(tmp_path: Path) -> None:
    nowhere = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    ended = ran(tmp_path, [play(task("Look", "ping", {}), vars=nowhere)])
    assert ended.code == 4
    assert ended.output.count("Connection refused") == 1, ended.output
    assert any(line.startswith("[node1] unreachable: Look: ") for line in ended.lines)
    assert "Ended: 0 changes; unreachable: node1" in ended.lines
    assert "UNREACHABLE!" in ended.log


def test_tries_go_to_the_log(tmp_path: Path) -> None:
    again = {"register": "seen", "until": "seen is succeeded", "retries": 2, "delay": 0}
    ended = ran(tmp_path, [play(task("Try", "command", "false", **again))])
    assert ended.code == 2
    assert "RETRYING" not in ended.output
    assert ended.output.count("Try: non-zero return code") == 1
    assert ended.log.count("FAILED - RETRYING") == 2


def test_an_asynchronous_task_is_polled_in_the_log(tmp_path: Path) -> None:
    slow = {"async": 30, "poll": 1}
    home = {"environment": {"ANSIBLE_ASYNC_DIR": str(tmp_path / "async")}}
    ended = ran(tmp_path, [play(task("Wait", "command", "sleep 2", **slow))], **home)
    assert ended.code == 0, ended.output
    assert "ASYNC" not in ended.output
    assert "ASYNC OK on node1" in ended.log


def test_check_and_diff_lose_nothing(tmp_path: Path) -> None:
    made = {"content": "new words\n", "dest": f"{tmp_path}/made.txt"}
    tasks = [
        task("Write it", "copy", made),
        task("Touch it", "file", {"path": f"{tmp_path}/x", "state": "touch"}),
    ]
    ended = ran(tmp_path, [play(*tasks)], "--check", "--diff", hosts=["a", "b"])
    assert ended.code == 0, ended.output
    assert "[a, b] would change: Write it" in ended.lines
    assert "+new words" in ended.lines
    assert any(line.endswith("would change: Touch it") for line in ended.lines)
    assert "Ended: 4 changes would be made" in ended.lines
    assert not (tmp_path / "made.txt").exists()
    really = ran(tmp_path, [play(task("Write it", "copy", made))], "--diff", hosts=["a"])
    assert "[a] changed: Write it" in really.lines
    assert "+new words" in really.lines
    assert "+new words" in really.log


def test_a_warning_is_printed_and_logged(tmp_path: Path) -> None:
    words = "{{ lookup('ansible.builtin.file', '/nowhere', errors='warn') }}"
    missing = task("Look", "debug", {"msg": words})
    ended = ran(tmp_path, [play(missing)], hosts=["a", "b", "c"])
    said = [line for line in ended.lines if line.startswith("[WARNING]")]
    assert len(said) == 1, ended.output
    assert said[0] in ended.log


def test_no_log_hides_it_in_the_log_too(tmp_path: Path) -> None:
    secret = "hunter2-and-more"
    hidden: dict[str, Any] = {"no_log": True, "ignore_errors": True}
    tasks = [
        task("Tell", "debug", {"msg": secret}, no_log=True),
        task("Run", "command", f"echo {secret}", **hidden),
        task("Fail", "fail", {"msg": secret}, **hidden),
        task("Items", "fail", {"msg": "{{ item }}"}, loop=[secret], **hidden),
        task("Name a key", "debug", {"msg": f"api_key={secret}"}),
        task("Last", "fail", {"msg": secret}, no_log=True),
    ]
    ended = ran(tmp_path, [play(*tasks)])
    assert ended.code == 2
    printed = [line for line in ended.lines if secret in line]
    assert printed == [f"[node1] api_key={secret}"], "what a task prints itself is printed"
    assert secret not in ended.log
    assert "api_key=[redacted]" in ended.log
    assert "[node1] the output has been hidden" in ended.output


def test_what_a_host_says_is_escaped_on_the_terminal_and_in_the_log(tmp_path: Path) -> None:
    said = "\x1b]0;owned\x07\x1b[2J\u202ereversed\x9b31m größer"
    ended = ran(tmp_path, [play(task("Ask", "fail", {"msg": said}))])
    shown = "\\x1b]0;owned\\x07\\x1b[2J\\u202ereversed\\x9b31m größer"
    for text in (ended.output, ended.log):
        assert [one for one in text if not one.isprintable() and one not in "\n\t"] == []
        assert shown in text


def test_colours_stay_out_of_the_log(tmp_path: Path) -> None:
    forced = {"environment": {"ANSIBLE_FORCE_COLOR": "1"}}
    ended = ran(tmp_path, [play(task("Ask", "fail", {"msg": "no"}))], **forced)
    assert "\x1b[" in ended.output
    assert "x1b" not in ended.log


def test_verbose_prints_all_of_it(tmp_path: Path) -> None:
    ended = ran(tmp_path, [play(task("Look", "command", "echo here"), *stages())], "-v")
    for words in ("TASK [Look] ***", "changed: [node1] =>", "stdout: here", "PLAY RECAP ***"):
        assert words in ended.output
        assert words in ended.log
    assert "[node1] calibrate 4 % rows" in ended.output
    assert ended.lines[-1] == f"All of Ansible's output: {ended.logs[0]}"


def test_a_loop_of_long_texts_leaves_some_to_the_log(tmp_path: Path) -> None:
    """As LoadGen's summaries of all hosts."""
    text = "=====\n\n" + "\n".join(f"line {number}" for number in range(60))
    of_one = ran(tmp_path / "one", [play(loop_of(text, ["x"]), hosts="localhost")])
    assert "line 17" in of_one.lines
    assert "line 18" not in of_one.lines
    assert "=====" not in of_one.output
    assert "… 42 more lines are in the log" in of_one.lines
    of_many = ran(tmp_path / "many", [play(loop_of(text, MANY), hosts="localhost")])
    assert len(of_many.lines) < 6, of_many.output
    assert "Show: 32 texts are in the log" in of_many.lines
    assert of_many.log.count("line 59") == len(MANY)


def test_long_texts_of_machines_are_left_to_the_log(tmp_path: Path) -> None:
    """As the list of files that were transferred."""
    tell = task("Work | Say what came", "debug", {"msg": [f"file {n}" for n in range(25)]})
    few = ran(tmp_path / "few", [play(tell)])
    assert "[node1] Say what came: 25 lines are in the log" in few.lines
    assert "file 24" in few.log
    pinned = {"strategy": "ansible.builtin.host_pinned"}
    many = ran(tmp_path / "many", [play(tell, **pinned)], hosts=MANY[:6])
    assert len(many.lines) <= 3, many.output
    assert many.log.count("file 24") == 6


def loop_of(text: str, items: list[str]) -> dict[str, Any]:
    return task("Show", "debug", {"msg": "{{ item }}\n" + text}, loop=items)


def test_a_log_that_cannot_be_written_fails_no_command(tmp_path: Path) -> None:
    tasks = [task(f"Tell {number}", "debug", {"msg": f"words {number}"}) for number in range(3)]
    folder = tmp_path / "state/dlrm-fleet"
    folder.mkdir(parents=True)
    (folder / "logs").write_text("a file stands here")
    ended = ran(tmp_path, [play(*tasks)])
    assert ended.code == 0, ended.output
    assert [line for line in ended.lines if "words" in line] == [
        f"[node1] words {number}" for number in range(3)
    ]
    assert ended.output.count("There is no log") == 1, ended.output
    assert "All of Ansible's output" not in ended.output


def test_the_log_is_the_users_alone_and_old_ones_go(tmp_path: Path) -> None:
    folder = tmp_path / "own/logs"
    folder.mkdir(parents=True)
    for number in range(150):
        (folder / f"20250101T000{number:03}Z-old.log").write_text("old\n")
    (folder / "20250101T000000Z-notes.txt").write_text("not a log")
    ended = ran(tmp_path, [play()], "-e", f"dlrm_verdict_dir={tmp_path}/own")
    assert ended.code == 0, ended.output
    [log] = folder.glob("*-small.log")
    assert f"All of Ansible's output: {log}" in ended.lines
    assert log.stat().st_mode & 0o777 == 0o600
    assert len(list(folder.glob("*.log"))) == 100
    assert (folder / "20250101T000149Z-old.log").exists()
    assert (folder / "20250101T000000Z-notes.txt").exists()


def test_a_play_without_hosts_says_so(tmp_path: Path) -> None:
    ended = ran(tmp_path, [play(hosts="nobody")])
    assert ended.code == 0, ended.output
    assert "Skipped: this play matches no host" in ended.lines
