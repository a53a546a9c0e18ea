"""The log of one command: private, bounded, without secrets; its failure is told, not raised."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from ansible.module_utils.dlrm_fleet.support.output_log import KEPT, OutputLog
from planted_secrets import SECRETS

NOON = datetime(2026, 1, 31, 12, 0, 0)


def test_it_is_named_by_time_and_playbook_and_is_its_users_alone(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "made/logs", "run_benchmark", NOON)
    log.write("words")
    assert log.path == tmp_path / "made/logs/20260131T120000Z-run_benchmark.log"
    assert log.path.read_text() == "words\n"
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert log.path.parent.stat().st_mode & 0o777 == 0o700


def test_two_of_one_second_do_not_mix(tmp_path: Path) -> None:
    logs = [OutputLog(tmp_path, "report", NOON) for _number in range(3)]
    assert len({log.path for log in logs}) == 3


def test_a_link_with_its_name_is_not_followed(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("stays")
    (tmp_path / "20260131T120000Z-report.log").symlink_to(foreign)
    OutputLog(tmp_path, "report", NOON).write("words")
    assert foreign.read_text() == "stays"


def test_a_playbooks_name_names_no_folder(tmp_path: Path) -> None:
    log = OutputLog(tmp_path, "../evil name\n", NOON)
    assert log.path == tmp_path / "20260131T120000Z-.._evil_name_.log"


def test_no_planted_secret_is_in_it(tmp_path: Path) -> None:
    log = OutputLog(tmp_path, "report", NOON)
    for text, _secret in SECRETS.values():
        log.write(text)
    assert log.path is not None
    written = log.path.read_text()
    assert [name for name, (_text, secret) in SECRETS.items() if secret in written] == []


def test_colours_go_and_all_else_that_a_terminal_acts_on_is_escaped(tmp_path: Path) -> None:
    log = OutputLog(tmp_path, "report", NOON)
    log.write("\x1b[0;31mred\x1b[0m \x1b[2J \u202e größer\ttab\nline \ud800")
    assert log.path is not None
    assert log.path.read_text() == "red \\x1b[2J \\u202e größer\ttab\nline \\ud800\n"


def test_a_full_disk_is_told_once_and_later_texts_are_left_out(tmp_path: Path) -> None:
    log = OutputLog(tmp_path, "report", NOON)
    log.write("first")
    assert log.why == ""
    full = os.open("/dev/full", os.O_WRONLY)
    assert log._file is not None
    os.dup2(full, log._file)
    os.close(full)
    log.write("second")
    assert "ends early" in log.why
    assert "No space left on device" in log.why
    log.write("third")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = OutputLog(tmp_path / "file/logs", "report", NOON)
    log.write("words")
    assert log.path is None
    assert log.why.startswith("There is no log: cannot write into ")


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for second in range(KEPT + 20):
        OutputLog(tmp_path, "report", NOON.replace(minute=second // 60, second=second % 60))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == KEPT
    assert names[0] == "20260131T120020Z-report.log"
