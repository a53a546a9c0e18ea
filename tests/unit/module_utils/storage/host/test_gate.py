"""The gate of the fleet's keys, without SSH: every command but ours is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.storage.host.gate import allowed

PULL = "rsync --server --sender -LRe.LsfxCIvu --append --timeout=120 ."
PUSH = "rsync --server -e.LsfxCIvu --append --timeout=120 ."


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "incoming").mkdir(parents=True)
    (made / "file").write_text("x")
    (tmp_path / "secret").write_text("x")
    (made / "leak").symlink_to(tmp_path / "secret")
    return made


def test_our_own_commands_pass(root: Path) -> None:
    words = allowed(f"{PULL} {root}/file /.{root}/file", "read", str(root))
    assert words[-2:] == [f"{root}/file", f"/.{root}/file"]
    assert allowed(f"{PUSH} {root}/incoming/", "write", str(root))[:2] == ["rsync", "--server"]
    question = "dlrm-fleet result 20260131T120000Z-0a1b2c"
    assert allowed(question, "read", str(root)) == question.split()


@pytest.mark.parametrize(
    ("mode", "command", "why"),
    [
        ("read", "", "only rsync"),
        ("read", "sh -c id", "only rsync"),
        ("read", "/tmp/rsync --server --sender -e. . /x", "only rsync"),
        ("read", "rsync --daemon .", "only rsync"),
        ("read", "rsync --server 'open", "cannot be read"),
        ("read", f"{PUSH} ROOT/incoming/", "may only read"),
        ("write", f"{PULL} ROOT/file", "may only write"),
        ("read", "rsync --server --sender -logDtpre.iLsfxCIvu . ROOT/file", "is not allowed"),
        ("read", "rsync --server --sender -e. --remove-source-files . ROOT/file", "not allowed"),
        ("read", "rsync --server --sender -e. --files-from=- . ROOT/file", "not allowed"),
        ("read", "rsync --server --sender -e. --rsh=sh . ROOT/file", "not allowed"),
        ("read", "rsync --server --sender -se. .", "not allowed"),
        ("read", f"{PULL}", "at least one path"),
        ("read", f"{PULL} ROOT", "outside"),
        ("read", f"{PULL} ROOT/incoming", "is a folder"),
        ("read", f"{PULL} ROOT/leak", "outside"),
        ("read", f"{PULL} ROOT/../secret", "outside"),
        ("read", f"{PULL} ROOT/file /etc/passwd", "outside"),
        ("read", f"{PULL} file", "not a plain absolute path"),
        ("read", f"{PULL} 'ROOT/a b'", "not a plain absolute path"),
        ("read", f"{PULL} 'ROOT/file\n'", "not a plain absolute path"),
        ("read", "rsync --server --sender -e. '--append\n' . ROOT/file", "not allowed"),
        ("read", "rsync --server --sender '-e.\n' . ROOT/file", "not allowed"),
        ("read", f"{PULL} 'ROOT/$(id)'", "not a plain absolute path"),
        ("read", f"{PULL} ROOT-other/file", "outside"),
        ("write", f"{PUSH} ROOT/", "may only write into"),
        ("write", f"{PUSH} ROOT/incoming/../", "may only write into"),
        ("write", f"{PUSH} ROOT/incoming/ ROOT/incoming/", "one path"),
        ("write", "rsync --server -Re. . ROOT/incoming/", "is not allowed"),
        ("write", "dlrm-fleet result 20260131T120000Z-0a1b2c", "only rsync"),
        ("read", "dlrm-fleet result ../x", "question is not known"),
        ("read", "dlrm-fleet close 20260131T120000Z-0a1b2c", "question is not known"),
        ("else", f"{PULL} ROOT/file", "mode 'else'"),
    ],
)
def test_everything_else_is_refused(root: Path, mode: str, command: str, why: str) -> None:
    with pytest.raises(FleetError, match=f"dlrm-fleet: refused: .*{why}"):
        allowed(command.replace("ROOT", str(root)), mode, str(root))


def test_a_root_that_is_a_link_is_the_folder_it_names(root: Path) -> None:
    link = root.with_name("link")
    link.symlink_to(root)
    assert allowed(f"{PULL} {link}/file", "read", str(link))
    assert allowed(f"{PUSH} {link}/incoming/", "write", str(link))


def test_incoming_that_is_a_link_is_refused(root: Path) -> None:
    (root / "incoming").rmdir()
    (root / "incoming").symlink_to(root.parent)
    with pytest.raises(FleetError, match="may only write into"):
        allowed(f"{PUSH} {root}/incoming/", "write", str(root))
