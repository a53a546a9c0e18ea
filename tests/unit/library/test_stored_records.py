"""Records on the storage node: one that is bad is named, the others are read; each is verified."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import made_run
import pytest
from storing_node import BAD, BAD_OF_A_FOLDER, ESCAPE, RUN_ID, Node, Run, cases, forge, resum, store
from test_report_page import write_page

import dlrm_record_info

OLD = made_run.REPOSITORY / "tests" / "unit" / "fixtures" / "records"


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Node:
    return Node(tmp_path, capsys)


@pytest.mark.parametrize("change", cases(BAD, BAD_OF_A_FOLDER))
def test_one_bad_record_is_named_and_the_others_are_read(
    node: Node, change: Callable[[Run], None]
) -> None:
    for host in ("arm-01", "arm-02"):
        node.fetch(host)
        node.record(host)
    path = store(node, change)
    found = node.records()
    assert [run["host"]["name"] for run in found["newest"]] == ["arm-02"]
    assert len(found["unreadable"]) == 1
    assert str(path) in found["unreadable"][0]


SHOWN = [
    *("soft_auc a text", "auc above 1", "rate a list", "deep", "samples a text", "no verdict"),
    *("noise a number", "no figure"),
]


def test_the_page_names_bad_records_and_shows_the_others(node: Node) -> None:
    """As the release before wrote them, which judged some of them passed."""
    bad = dict(BAD + BAD_OF_A_FOLDER)
    node.fetch("good")
    node.record("good")
    for number, name in enumerate(SHOWN):
        shutil.copytree(node.run_dir("good"), node.run_dir(f"bad-{number}"))
        store(node, forge("host.name", f"bad-{number}"), f"bad-{number}")
        store(node, bad[name], f"bad-{number}")
    write_page(node.folder)
    page = (node.root / "report/index.html").read_text()
    assert page.count('<rect class="bar"') == 1
    assert "18,309.5" in page
    said = page[page.index("Records that cannot be read") : page.index('id="plot"')]
    assert said.count("<li") == len(SHOWN)
    for number in range(len(SHOWN)):
        assert f"bad-{number}/run.json" in said


def test_a_newer_record_is_called_newer_not_damaged(node: Node) -> None:
    node.fetch()
    node.record()
    store(node, forge("schema_version", 2))
    [said] = node.records()["unreadable"]
    assert "newer release" in said
    assert "schema_version 2" in said
    assert "newer release" in node.record()["msg"]


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b"[" * 100_000, b"{}", None])
def test_garbage_beside_good_records_is_named(node: Node, content: bytes | None) -> None:
    node.fetch()
    node.record()
    folder = node.run_dir("arm-02")
    folder.mkdir()
    if content is None:
        (folder / "run.json").symlink_to(node.run_dir() / "run.json")
    else:
        (folder / "run.json").write_bytes(content)
    found = node.records()
    assert [run["host"]["name"] for run in found["newest"]] == ["arm-01"]
    assert "arm-02/run.json" in found["unreadable"][0]


def test_a_changed_file_makes_no_figure(node: Node) -> None:
    """Recorded means verified: the folder is compared with its sums before a figure is shown."""
    node.fetch()
    node.record()
    path = node.run_dir() / "run.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace("18309.5", "99999.5"))
    found = node.records()
    assert found["newest"] == []
    assert "damaged" in found["unreadable"][0]
    read = node.call(dlrm_record_info, run_id=RUN_ID, host="arm-01")
    assert "damaged" in read["msg"]


def test_a_changed_log_is_found_by_verify_and_where_nothing_was_verified(node: Node) -> None:
    node.fetch()
    node.record()
    path = node.run_dir() / "performance/mlperf_log_summary.txt"
    path.chmod(0o644)
    path.write_text("another")
    # Who only shows the number looks at what was verified.
    assert node.records()["unreadable"] == []
    assert "damaged" in node.records(verify=True)["unreadable"][0]
    (node.run_dir().parent / ".arm-01.verified.json").unlink()
    assert "damaged" in node.records()["unreadable"][0]


def test_sums_that_were_touched_are_verified_again(node: Node) -> None:
    node.fetch()
    node.record()
    stamp = node.run_dir().parent / ".arm-01.verified.json"
    before = stamp.read_text()
    resum(node.run_dir())
    assert len(node.records()["newest"]) == 1
    assert stamp.read_text() != before


def test_records_of_the_release_before_count_and_are_verified_once(node: Node) -> None:
    """That release kept nothing about what it verified."""
    shutil.copytree(OLD, node.run_dir().parent, ignore=shutil.ignore_patterns("*.md"))
    stamp = node.run_dir().parent / ".h-valid.verified.json"
    found = node.records(_ansible_check_mode=True)
    assert not stamp.exists()
    assert node.records() == found
    assert [run["host"]["name"] for run in found["newest"]] == ["h-unreachable", "h-valid"]
    assert found["unreadable"] == []
    before = stamp.stat().st_mtime_ns
    assert node.records() == found
    assert stamp.stat().st_mtime_ns == before


def test_a_record_of_the_release_before_is_judged_in_the_same_words(node: Node) -> None:
    shutil.copytree(OLD / "h-valid", node.run_dir("h-valid"))
    answer = node.record("h-valid")
    assert answer.get("changed") is False, answer
    assert answer["run"]["verdict"]["status"] == "passed"


@pytest.mark.parametrize("sums", ["", "ab", None])
def test_a_record_without_whole_sums_is_none(node: Node, sums: str | None) -> None:
    node.fetch()
    node.record()
    path = node.run_dir() / "SHA256SUMS"
    path.chmod(0o644)
    path.unlink() if sums is None else path.write_text(sums)
    found = node.records()
    assert (found["newest"], found["all_runs"]) == ([], [])
    assert "not complete" in found["unreadable"][0]
    assert node.record()["changed"] is True
    assert len(node.records()["newest"]) == 1


def test_what_a_killed_writer_left_is_no_file_of_the_run(node: Node) -> None:
    node.fetch()
    for name in ("run.json.7.partial", "performance/x.txt.partial"):
        (node.run_dir() / name).write_text("half")
    files = [file["path"] for file in node.record()["run"]["files"]]
    assert "host.json" in files
    assert [name for name in files if "partial" in name] == []


@pytest.mark.parametrize("host", ["verdict.json", ".arm", "-x", "a\nb", "a\x1b[2J", ""])
def test_a_host_has_no_reserved_name(node: Node, host: str) -> None:
    assert "it becomes a folder's name" in node.record(host)["msg"]
    assert not (node.root / "runs").exists()


def test_texts_of_a_page_are_escaped(node: Node) -> None:
    node.fetch()
    node.record()
    store(node, forge("verdict.reasons", [ESCAPE]))
    [run] = node.records()["newest"]
    assert run["verdict"]["reasons"] == ["\\x1b]0;owned\\x07\\x1b[2J\\u202ereversed\\x9b31m"]


def test_loadgens_summary_is_escaped(node: Node) -> None:
    node.fetch()
    node.edit("performance/mlperf_log_summary.txt", lambda text: f"{ESCAPE} : 1\n{text}")
    node.record()
    read = node.call(dlrm_record_info, run_id=RUN_ID, host="arm-01")
    assert "\x1b" not in read["summary"]
    assert "Samples per second: 18309.5" in read["summary"]


def test_a_module_that_refuses_escapes_what_it_quotes(node: Node) -> None:
    shutil.copytree(made_run.LOGS / "valid", node.run_dir() / "performance")
    (node.run_dir() / "run.json").write_text('{"schema_version": "\x1b[2J"}')
    assert "\x1b" not in node.record()["msg"]
