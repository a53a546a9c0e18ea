"""An archive that arrived is copied out of a lesser user's reach, and the copy is checked."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.container.arrived import offer, take
from ansible.module_utils.dlrm_fleet.wire.strict_json import Malformed
from image_archive import ID, NAME, legacy, sha256, written

WHAT = "refused the archive"


class Arrival:
    """An archive in a lesser user's folder, and where root copies it."""

    def __init__(self, folder: Path) -> None:
        self.content = written(legacy())
        self.path, self.copy = folder / "arrived", folder / "copy"
        self.path.write_bytes(self.content)

    def take(self, **other: Any) -> None:
        promised = {
            "size": len(self.content),
            "sha256": sha256(self.content),
            "name": NAME,
            "image_id": ID,
            **other,
        }
        take(self.path, self.copy, WHAT, **promised)

    def is_refused(self, why: str, **other: Any) -> None:
        with pytest.raises(Malformed, match=why):
            self.take(**other)
        assert not self.copy.exists()


@pytest.fixture
def arrival(tmp_path: Path) -> Arrival:
    return Arrival(tmp_path)


def test_what_arrived_as_promised_is_copied_out_of_reach(arrival: Arrival) -> None:
    arrival.copy.write_text("left by a killed command")
    arrival.take()
    assert arrival.copy.read_bytes() == arrival.content
    assert arrival.copy.stat().st_mode & 0o777 == 0o600


def test_what_did_not_arrive_as_promised_is_refused(arrival: Arrival) -> None:
    arrival.is_refused("promised were 7", size=7)
    arrival.is_refused(f"promised was {'0' * 64}", sha256="0" * 64)
    arrival.is_refused("wanted is dlrm-bench:other", name="dlrm-bench:other")
    arrival.is_refused(f"wanted is sha256:{'0' * 64}", image_id=f"sha256:{'0' * 64}")


def test_a_planted_link_or_pipe_is_refused(arrival: Arrival, tmp_path: Path) -> None:
    arrival.path.rename(tmp_path / "elsewhere")
    arrival.path.symlink_to(tmp_path / "elsewhere")
    arrival.is_refused("symbolic links")
    arrival.path.unlink()
    os.mkfifo(arrival.path)
    arrival.is_refused("no regular file")


def test_a_planted_copy_is_replaced_and_not_followed(arrival: Arrival, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    arrival.copy.symlink_to(precious)
    arrival.take()
    assert precious.read_text() == "mine"
    assert not arrival.copy.is_symlink()


# Root takes the rights of nobody. Anybody else keeps their own.
UID = 65534 if os.geteuid() == 0 else os.geteuid()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    # pytest's own folders are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="dlrm-offer-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_an_archive_is_offered_below_a_users_folder_with_their_rights(
    arrival: Arrival, open_folder: Path
) -> None:
    below = open_folder / "dlrm"
    below.mkdir()
    os.chown(below, UID, -1)
    folder = offer(arrival.path, below, WHAT)
    assert folder.parent == below
    copy = folder / arrival.path.name
    assert copy.read_bytes() == arrival.content
    found = [(path.stat().st_uid, path.stat().st_mode & 0o777) for path in (folder, copy)]
    assert found == [(UID, 0o755), (UID, 0o644)]


def test_a_link_that_the_user_planted_leads_root_nowhere(
    arrival: Arrival, open_folder: Path
) -> None:
    roots, below = open_folder / "roots", open_folder / "dlrm"
    roots.mkdir(mode=0o500)
    below.symlink_to(roots)
    os.chown(below, UID, -1, follow_symlinks=False)
    with pytest.raises(FleetError, match="cannot offer .*Permission denied"):
        offer(arrival.path, below, WHAT)
    assert list(roots.iterdir()) == []
