from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.stages import sources as source_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    (made / "sub").mkdir(parents=True)
    (made / ".hidden").write_text("h")
    (made / "sub" / "b").write_text("bb")
    return made


def hashed(tmp_path: Path, folder: Path, seconds: float = 60) -> source_files.SourceFiles:
    return source_files.hash_folder(tmp_path, str(folder), seconds)


def test_every_file_is_listed_with_its_hash(tmp_path: Path, folder: Path) -> None:
    assert hashed(tmp_path, folder).files == [
        {"name": ".hidden", "bytes": 1, "sha256": hashlib.sha256(b"h").hexdigest()},
        {"name": "sub/b", "bytes": 2, "sha256": hashlib.sha256(b"bb").hexdigest()},
    ]


def test_a_file_is_read_once_until_it_changes(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = hashed(tmp_path, folder)
    read: list[str] = []
    real = source_files.sha256_file  # type: ignore[attr-defined]
    monkeypatch.setattr(
        source_files,
        "sha256_file",
        lambda path, alive: read.extend([path.name]) or real(path),  # type: ignore[func-returns-value]
    )
    assert hashed(tmp_path, folder) == first
    assert read == []
    state = (folder / "sub" / "b").stat()
    (folder / "sub" / "b").write_text("cc")
    os.utime(folder / "sub" / "b", ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert hashed(tmp_path, folder) != first
    assert read == ["b"]


def test_a_slice_of_time_ends_with_a_line_that_says_how_far(tmp_path: Path, folder: Path) -> None:
    nothing = hashed(tmp_path, folder, seconds=-1)
    assert nothing.files is None
    assert nothing.line == f"hashing {folder}, 0 % of 3 B, next .hidden (1 B)"
    assert source_files.known(tmp_path, str(folder)).files is None
    whole = hashed(tmp_path, folder)
    assert source_files.known(tmp_path, str(folder)) == whole


def test_the_lease_is_kept_while_hashing(tmp_path: Path, folder: Path) -> None:
    calls: list[int] = []
    source_files.hash_folder(tmp_path, str(folder), 60, lambda: calls.append(1))
    assert calls == [1, 1]


def test_a_damaged_cache_is_no_cache(tmp_path: Path, folder: Path) -> None:
    first = hashed(tmp_path, folder)
    (tmp_path / source_files.CACHE_NAME).write_text("{")
    assert hashed(tmp_path, folder) == first


def test_bad_folders_are_refused_in_words(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(FleetError, match="does not exist on this host"):
        hashed(tmp_path, tmp_path / "no")
    with pytest.raises(FleetError, match="it is a file"):
        hashed(tmp_path, folder / ".hidden")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FleetError, match="it has no files"):
        hashed(tmp_path, empty)
    (folder / "dangling").symlink_to("nowhere")
    with pytest.raises(FleetError, match="dangling"):
        hashed(tmp_path, folder)
