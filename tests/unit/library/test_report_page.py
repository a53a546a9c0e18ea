"""Role dlrm_report: the page it writes from real records."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.storage.node.pull import Pull
from made_run import IMAGE, REPOSITORY, RUN_ID, arguments, make_root, request

import dlrm_artifact
import dlrm_record
import dlrm_result_info

HOSTILE = '<script>alert("1")</script> {{ 7 * 7 }} & more'
IMAGE_ID = "2c26b46b68ff" + "0" * 52
# As a visit leaves it of a host whose answer it refused.
REFUSED = f"cannot use what arm-03 says about run {RUN_ID}: {HOSTILE}"
VOID = {"meta", "link", "br", "line", "rect"}


class Balanced(HTMLParser):
    """Fails on a wrongly closed tag; collects tags, addresses and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def run_command(command: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def add_run(folder: Path, host: str, failure: dict[str, str] | None = None) -> None:
    make_root(folder / host)
    found = dlrm_result_info.read({**arguments(folder / host), "what": "run"}, "aarch64")
    given = {
        "storage_root": str(folder / "storage"),
        "host": host,
        "run_id": RUN_ID,
        "artifacts": [],
        "run_files": found["run_files"],
        "stages": found["stages"],
    }
    pulled = {**given, "streams": 1, "transfers": 1}
    dlrm_artifact.run(Pull(folder / "storage", None, run_command), pulled, False)
    record = {
        **given,
        "request": request(),
        "request_sha256": "d" * 64,
        "controller": "ops@controller",
        "opened_at": "2026-01-31T12:00:00Z",
        "image": {"name": IMAGE, "id": f"sha256:{IMAGE_ID}"},
        "failure": failure,
    }
    dlrm_record.run(record, False, "2026-01-31T12:30:00Z")


def write_page(folder: Path, *options: str) -> str:
    """Runs the role; returns Ansible's recap."""
    play = folder / "play.yml"
    play.write_text(
        "- hosts: localhost\n  gather_facts: false\n  roles:\n    - role: dlrm_report\n"
        f"      dlrm_report_storage_root: {folder / 'storage'}\n"
    )
    command = [
        sys.executable, "-m", "ansible.cli.playbook", "-i", "localhost,", "-c", "local",
        "-e", f"ansible_python_interpreter={sys.executable}", "-e", "ansible_become=false",
        *options, str(play),
    ]  # fmt: skip
    environment = {**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "storage").mkdir()
    add_run(folder, "arm-01")
    add_run(folder, "arm-02", {"phase": "storage", "message": HOSTILE})
    waiting = folder / "storage/spool" / RUN_ID
    waiting.mkdir(parents=True)
    (waiting / "arm-03.json").write_text("{}")
    (waiting / "arm-03.refusal").write_text(f"{REFUSED}\n")
    (waiting / "arm-04.json").write_text("{}")
    write_page(folder)
    return folder


@pytest.fixture(scope="module")
def page(written: Path) -> str:
    return (written / "storage/report/index.html").read_text()


def parse(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_the_page_says_what_was_measured(page: str) -> None:
    text = " ".join(parse(page).text.split())
    for wanted in (
        "arm-01",
        "✓ passed",
        "✗ failed",
        "18,309.5",
        "9,154.8",
        "VALID",
        "80.310 %",
        "99.950 %",
        "demo: not comparable",
        "quiet",
        f"Run {RUN_ID}",
        "storage: ",
    ):
        assert wanted in text
    assert "MLPerf" not in text


def test_the_page_says_which_image_was_measured(page: str) -> None:
    text = " ".join(parse(page).text.split())
    assert f"image {IMAGE} ({IMAGE_ID[:12]})." in text


def test_the_page_names_hosts_that_a_visit_could_not_collect(page: str) -> None:
    text = " ".join(parse(page).text.split())
    said = f"Run {RUN_ID} of arm-03 is not collected. The storage node's last visit: {REFUSED}"
    assert said in text
    assert "arm-04" not in text


def test_the_page_needs_nothing_else(page: str) -> None:
    parser = parse(page)
    assert parser.addresses == []
    assert not {"script", "link", "img", "iframe"} & set(parser.tags)
    assert re.findall(r"https?://|url\(|@import", page) == []


def test_records_are_text_never_markup_nor_templates(page: str) -> None:
    assert f"storage: {HOSTILE}" in parse(page).text
    assert "<script" not in page
    assert "49" not in parse(page).text.partition("storage: ")[2][:80]


def test_the_plot_has_a_bar_for_each_host_and_says_it_in_words(page: str) -> None:
    plot = page[page.index("<svg") : page.index("</svg>")]
    assert plot.count('<rect class="bar"') == 1
    assert plot.count('<rect class="refused"') == 1
    assert 'role="img"' in plot
    assert "arm-01 int8: 18,309.5, passed." in plot
    assert "prefers-color-scheme: dark" in page
    assert '<html lang="en">' in page


def test_writing_it_again_changes_nothing(written: Path, page: str) -> None:
    assert "changed=0" in write_page(written)
    assert (written / "storage/report/index.html").read_text() == page


def test_a_storage_node_without_records_has_a_page_too(tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    assert "changed=1" in write_page(tmp_path, "--check", "--diff")
    assert not (tmp_path / "storage/report").exists()
    write_page(tmp_path)
    page = (tmp_path / "storage/report/index.html").read_text()
    assert "No run is recorded yet." in parse(page).text
