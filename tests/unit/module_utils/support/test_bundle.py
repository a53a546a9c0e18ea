"""The whole bundle: what is in it, and that no planted secret is."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.support import bundle as support
from ansible.module_utils.dlrm_fleet.support.gather import FILE_BYTES, gather, read_end
from planted_secrets import SECRETS


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def contents(bundle: Path) -> dict[str, str]:
    with tarfile.open(bundle) as archive:
        members = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read().decode() for name, file in members.items() if file is not None}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    planted = "\n".join(text for text, _secret in SECRETS.values())
    for pattern in support.HOST_PATTERNS:
        write(tmp_path / "root" / pattern.replace("*", "x"), f"first line\n{planted}\nlast line\n")
    write(tmp_path / "root/data/terabyte.bin", "not for anybody")
    write(tmp_path / "root/.ssh/id_ed25519", "not for anybody")
    return tmp_path / "root"


def test_no_planted_secret_is_in_the_bundle(root: Path, tmp_path: Path) -> None:
    files = gather(root, support.HOST_PATTERNS, "root")
    # As if somebody had added a text that was not redacted.
    files["machine/careless.txt"] = "\n".join(text for text, _secret in SECRETS.values())
    support.write_bundle(tmp_path / "a.tar.gz", "arm-01", files)
    found = contents(tmp_path / "a.tar.gz")
    assert len(found) == len(support.HOST_PATTERNS) + 1
    for name, text in found.items():
        for kind, (_text, secret) in SECRETS.items():
            assert secret not in text, (name, kind)
    assert "first line" in found["arm-01/root/stages/x/x/attempts/x/exit.json"]
    assert "not for anybody" not in "".join(found.values())


def test_equal_texts_give_equal_bytes_for_the_owner_only(tmp_path: Path) -> None:
    one, two = tmp_path / "1.tar.gz", tmp_path / "2.tar.gz"
    support.write_bundle(one, "a", {"x": "1", "y": "2"})
    support.write_bundle(two, "a", {"y": "2", "x": "1"})
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_mode & 0o777 == 0o600


def test_a_long_log_keeps_its_end(tmp_path: Path) -> None:
    lines = [f"{number:063}\n" for number in range(FILE_BYTES // 64 - 1)]
    write(tmp_path / "host.json", "".join(["before\n", *lines, f"{'the end':>64}"]))
    [text] = gather(tmp_path, ["host.json"], "root").values()
    assert text.startswith("[7 characters before this are left out]\n")
    assert text.endswith("the end")


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert read_end(tmp_path) == "[cannot be read: it is no regular file]\n"
