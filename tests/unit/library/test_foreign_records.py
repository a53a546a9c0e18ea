"""What a measured host says is out of range, or a record is bad: it is said, and no other suffers."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_run
import pytest
from jsonschema import Draft202012Validator
from module_runner import run_module

import dlrm_artifact
import dlrm_record
import dlrm_record_info
import dlrm_result_info
import dlrm_run_summary

RUN_ID = made_run.RUN_ID
CONTRACTS = made_run.REPOSITORY / "docs" / "contracts"
SCHEMA = json.loads((CONTRACTS / "run.schema.json").read_text())
Run = dict[str, Any]


class Node:
    """A storage node that takes runs of hosts."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.root = folder / "storage"
        self.root.mkdir()

    def run_dir(self, host: str = "arm-01") -> Path:
        return self.root / "runs" / RUN_ID / host

    def call(self, module: Any, **arguments: Any) -> Run:
        """The module's answer; a traceback is an answer, too."""
        try:
            return run_module(module, self.capsys, storage_root=str(self.root), **arguments)
        except Exception as error:
            return {"failed": True, "msg": f"Traceback: {type(error).__name__}: {error}"}

    def fetch(self, host: str = "arm-01") -> None:
        root = self.folder / host
        made_run.make_root(root)
        found = dlrm_result_info.read({**made_run.arguments(root), "what": "run"}, "aarch64")
        answer = self.call(dlrm_artifact, host=host, run_id=RUN_ID, run_files=found["run_files"])
        assert not answer.get("failed"), answer

    def record(self, host: str = "arm-01") -> Run:
        return self.call(
            dlrm_record,
            run_id=RUN_ID,
            host=host,
            request=made_run.request(),
            request_sha256="d" * 64,
            controller="ops@controller",
            opened_at="2026-01-31T12:00:00Z",
            image={"name": made_run.IMAGE, "id": "sha256:1"},
        )

    def edit(self, name: str, change: Callable[[str], str], host: str = "arm-01") -> None:
        """A file of the run as that host sent it."""
        path = self.run_dir(host) / name
        path.chmod(0o644)
        path.write_text(change(path.read_text()))

    def records(self, **options: Any) -> Run:
        answer = self.call(dlrm_record_info, **options)
        assert not answer.get("failed"), answer
        return answer


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Node:
    return Node(tmp_path, capsys)


def fact(stage: str, name: str, value: str) -> Callable[[Node], None]:
    """`value`: as JSON."""

    def change(text: str) -> str:
        document = json.loads(text)
        document["facts"][name] = "VALUE"
        return json.dumps(document).replace('"VALUE"', value)

    return lambda node: node.edit(f"stages/{stage}.json", change)


def cpu(name: str, value: str) -> Callable[[Node], None]:
    def change(text: str) -> str:
        document = json.loads(text)
        document["cpu"][name] = "VALUE"
        return json.dumps(document).replace('"VALUE"', value)

    return lambda node: node.edit("host.json", change)


def log(name: str, old: str, new: str) -> Callable[[Node], None]:
    return lambda node: node.edit(
        f"performance/mlperf_log_{name}.txt", lambda text: text.replace(old, new)
    )


LATENCY = '"result_max_latency_ns", "value": '
NUMBERS = [
    ("string soft_auc", fact("accuracy", "soft_auc", '"high"'), "'soft_auc'"),
    ("auc of 400 digits", fact("accuracy", "auc", "9" * 400), "digits"),
    ("auc above 1", fact("accuracy", "auc", "80.31"), "'auc'"),
    ("auc below 0", fact("accuracy", "auc", "-0.1"), "'auc'"),
    ("auc NaN", fact("accuracy", "auc", "NaN"), "NaN"),
    ("target infinite", fact("accuracy", "target", "-Infinity"), "-Infinity"),
    ("target below 0", fact("accuracy", "target", "-1"), "'target'"),
    ("samples below 0", fact("accuracy", "samples", "-3"), "'samples'"),
    ("soft_auc without end", fact("accuracy", "soft_auc", "[" * 90 + "]" * 90), "deeper"),
    ("rate of -5", log("summary", "second: 18309.5", "second: -5"), "'Samples per second'"),
    ("rate of 0", log("summary", "second: 18309.5", "second: 0"), "more than 0 samples"),
    ("rate of 400 digits", log("summary", "18309.5", "9" * 400), "'Samples per second'"),
    ("duration below 0", log("detail", LATENCY, f"{LATENCY}-"), "'result_max_latency_ns'"),
    ("duration NaN", log("detail", f"{LATENCY}1342252862", f"{LATENCY}NaN"), "NaN"),
    ("pairs of 400 digits", fact("performance", "pairs_issued", "9" * 400), "digits"),
    ("pairs below 0", fact("performance", "pairs_computed", "-1"), "'pairs_computed'"),
    ("placement a text", fact("performance", "placement", '"here"'), "'placement'"),
    ("engine of two lines", fact("performance", "engine", '"torch\\n\\u001b[2J"'), "'engine'"),
    ("engine endless", fact("accuracy", "engine", json.dumps("e" * 5000)), "'engine'"),
    ("cores below 0", cpu("allowed_cores", "-2"), "'allowed_cores'"),
    ("cores of 400 digits", cpu("allowed_cores", "9" * 400), "digits"),
    ("model an object", cpu("model", '{"name": "x"}'), "'model'"),
]


@pytest.mark.parametrize(
    ("change", "named"), [pytest.param(change, named, id=name) for name, change, named in NUMBERS]
)
def test_a_host_that_says_what_cannot_be_gets_a_record_that_says_so(
    node: Node, change: Callable[[Node], None], named: str
) -> None:
    """And nobody fails on that record, who reads it later."""
    node.fetch()
    change(node)
    answer = node.record()
    assert "Traceback" not in answer.get("msg", "")
    assert not answer.get("failed"), answer
    verdict = answer["run"]["verdict"]
    assert verdict["status"] == "failed"
    assert named in verdict["reasons"][0]
    Draft202012Validator(SCHEMA).validate(answer["run"])
    assert json.loads((node.run_dir() / "run.json").read_text()) == answer["run"]
    found = node.records()
    assert (len(found["newest"]), found["unreadable"]) == (1, [])
    assert table(node, {"host": "arm-01", "run": answer["run"]})["passed"] is False
    assert node.record()["changed"] is False


def test_a_host_within_its_ranges_passes(node: Node) -> None:
    node.fetch()
    fact("accuracy", "soft_auc", "1")(node)
    fact("performance", "samples_per_second", "18309.5")(node)
    assert node.record()["run"]["verdict"]["reasons"] == []


def test_a_huge_log_is_no_log(node: Node) -> None:
    node.fetch()
    path = node.run_dir() / "performance/mlperf_log_detail.txt"
    path.chmod(0o644)
    with path.open("ab") as file:
        file.truncate(17 * 1024**2)
    verdict = node.record()["run"]["verdict"]
    assert verdict["status"] == "failed"
    assert "more than 16777216 bytes" in verdict["reasons"][0]


def table(node: Node, *results: Run, **options: Any) -> Run:
    try:
        return run_module(
            dlrm_run_summary,
            node.capsys,
            results=list(results),
            storage="store-01:/srv/dlrm-storage",
            precision="int8",
            **options,
        )
    except Exception as error:
        return {"table": f"Traceback: {error}", "document": {"results": []}}


def forge(name: str, value: Any) -> Callable[[Run], None]:
    """`name`: the path of a field, with dots."""
    *folders, last = name.split(".")

    def change(run: Run) -> None:
        for folder in folders:
            run = run[folder]
        run[last] = value

    return change


def deep() -> Any:
    value: Any = 1
    for _ in range(200):
        value = [value]
    return value


BAD = [
    ("soft_auc a text", forge("accuracy.soft_auc", "high")),
    ("auc an object", forge("accuracy.auc", {"value": 1})),
    ("auc above 1", forge("accuracy.auc", 10**300)),
    ("rate of -5", forge("performance.samples_per_second", -5)),
    ("rate a list", forge("performance.samples_per_second", [1])),
    ("no verdict", forge("verdict", None)),
    ("another status", forge("verdict.status", "excellent")),
    ("reasons a number", forge("verdict.reasons", 7)),
    ("marks an object", forge("comparability", {"marks": 5})),
    ("request a text", forge("request", "int8")),
    ("run_id a number", forge("run_id", 5)),
]
BAD_OF_A_FOLDER = [
    ("another host", forge("host.name", "arm-02")),
    ("another run", forge("run_id", "20260131T120000Z-ffffff")),
    ("host a text", forge("host", "arm-01")),
    ("cores a text", forge("host.cpu.allowed_cores", "two")),
    ("duration a text", forge("performance.duration_ms", "long")),
    ("samples a text", forge("performance.samples_per_query", "many")),
    ("metric unknown", forge("accuracy.metric", "best")),
    ("deep", forge("comparability.reference", deep())),
    ("image a text", forge("image", "dlrm-bench")),
    ("opened_at a number", forge("opened_at", 5)),
]


def cases(*groups: list[tuple[str, Callable[[Run], None]]]) -> list[Any]:
    return [pytest.param(change, id=name) for group in groups for name, change in group]


@pytest.mark.parametrize("change", cases(BAD))
def test_the_table_names_one_bad_record_and_shows_the_others(
    node: Node, change: Callable[[Run], None]
) -> None:
    good = json.loads((CONTRACTS / "examples" / "run.json").read_text())
    bad = json.loads(json.dumps(good))
    change(bad)
    results = [{"host": "arm-01", "run": good}, {"host": "arm-02", "run": bad}]
    found = table(node, *results, {"host": "arm-03", "run": good}, exit_policy="any")
    assert "Traceback" not in found["table"]
    rows = {row["host"]: row for row in found["document"]["results"]}
    assert [rows[host]["status"] for host in ("arm-01", "arm-03")] == ["passed", "passed"]
    assert rows["arm-02"]["status"] == "failed"
    assert rows["arm-02"]["reasons"][0].startswith("cannot use the record of arm-02: ")
    assert "    ! cannot use the record of arm-02: " in found["table"]


def store(node: Node, change: Callable[[Run], None], host: str = "arm-01") -> Path:
    """A record as somebody may have written it, with true sums."""
    path = node.run_dir(host) / "run.json"
    document = json.loads(path.read_text())
    change(document)
    path.chmod(0o644)
    path.write_text(json.dumps(document))
    resum(path.parent)
    return path


def resum(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    names = [line.split("  ", 1)[1] for line in sums.read_text().splitlines()]
    sums.chmod(0o644)
    lines = [f"{hashlib.sha256((folder / one).read_bytes()).hexdigest()}  {one}\n" for one in names]
    sums.write_text("".join(lines))


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
    node.fetch()
    node.record()
    (stamp := node.run_dir().parent / ".arm-01.verified.json").unlink()
    assert len(node.records()["newest"]) == 1
    assert stamp.is_file()


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


ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202ereversed\x9b31m"


def test_what_a_host_says_reaches_no_terminal_unescaped(node: Node) -> None:
    good = json.loads((CONTRACTS / "examples" / "run.json").read_text())
    good["verdict"].update(status="failed", reasons=[f"LoadGen says {ESCAPE}"])
    good["comparability"]["marks"] = [f"mark {ESCAPE}"]
    failure = {"phase": "stages", "message": f"message {ESCAPE}"}
    found = table(node, {"host": "a", "run": good}, {"host": "b", "failure": failure})
    shown = "".join([found["table"], found["places"], found["refusal"], *found["refused"]])
    assert [character for character in shown if not character.isprintable()] == ["\n"] * (
        shown.count("\n")
    )
    assert "\\x1b]0;owned" in found["table"]
    assert "\\u202ereversed" in found["table"]


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


FAILED = {"host": "arm-01", "failure": {"phase": "stage dump", "message": "disk full"}}


@pytest.mark.parametrize("name", ["all", "arm-*", "!arm-01", "~arm", "a:b", "arm\nall", "", "a,b"])
def test_a_limit_file_names_hosts_and_no_pattern(node: Node, name: str) -> None:
    folder = node.folder / "verdicts"
    table(node, FAILED, folder=str(folder), name="r")
    found = table(node, FAILED, {**FAILED, "host": name}, folder=str(folder), name="r")
    assert "--limit" in found["places"].splitlines()[0]
    assert [path.name for path in folder.iterdir()] == ["verdict-r.json"]


def test_a_limit_file_is_written_whole_or_not_at_all(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full when the names are to be written leaves no empty file."""
    folder = node.folder / "verdicts"
    table(node, FAILED, folder=str(folder), name="r")
    (folder / "failed-r.limit").unlink()
    real = Path.replace

    def full(self: Path, target: Any) -> Any:
        if "limit" in str(target):
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", full)
    found = table(node, FAILED, folder=str(folder), name="r")
    assert "No space left" in found["places"]
    assert [path.name for path in folder.iterdir()] == ["verdict-r.json"]
