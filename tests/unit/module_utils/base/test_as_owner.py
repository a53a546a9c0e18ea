"""Work is done as the folder's owner, wholly, and ends as it would have ended here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base import as_owner as module
from ansible.module_utils.dlrm_fleet.base.as_owner import as_owner, by_owner
from ansible.module_utils.dlrm_fleet.base.errors import FleetError

# Only root can become another user.
UID = 65534 if os.geteuid() == 0 else os.geteuid()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "store"
    made.mkdir()
    if os.geteuid() == 0:
        os.chown(made, UID, UID)
    return made


def identity() -> dict[str, Any]:
    return {"uids": os.getresuid(), "may_return": os.getresuid()[2] != UID}


def test_real_effective_and_saved_user_are_the_owners(folder: Path) -> None:
    found = as_owner(folder, identity)
    assert [*found["uids"]] == [UID, UID, UID]
    assert os.geteuid() in (0, UID)


def test_a_modules_options_and_answer_pass(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
        Path("file").write_text(params["text"])
        return {"changed": not check, "owner": Path("file").stat().st_uid}

    # The folder's parents are closed to that user, as pytest makes them.
    monkeypatch.chdir(folder)
    params = {"storage_root": str(folder), "text": "x" * 200_000}
    found = by_owner("storage_root", run)(params, False)
    assert found == {"changed": True, "owner": UID}
    assert (folder / "file").stat().st_size == 200_000


def test_a_refusal_keeps_its_words(folder: Path) -> None:
    def refuse() -> dict[str, Any]:
        raise FleetError("cannot do it", "no", "Ask")

    with pytest.raises(FleetError) as caught:
        as_owner(folder, refuse)
    assert (caught.value.what, caught.value.why, caught.value.todo) == ("cannot do it", "no", "Ask")


def test_a_folder_that_is_not_there_changes_nobody(tmp_path: Path) -> None:
    found = as_owner(tmp_path / "none", identity)
    assert found["uids"][1] == os.geteuid()


@pytest.mark.parametrize(
    "said",
    [
        b"[" * 200_000,
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        b'{"value": []}',
        b'{"refused": []}',
        b"",
        b'{"value": {}, "refused": []}',
        b'{"else": 1}',
    ],
)
def test_what_the_other_user_says_has_one_shape(said: bytes) -> None:
    with pytest.raises(RuntimeError, match="its process said"):
        module._read(said)


def test_what_the_other_user_says_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 64)
    with pytest.raises(RuntimeError, match="more than 64 bytes"):
        module._read(b'{"value": {"text": "' + b"x" * 64 + b'"}}')
