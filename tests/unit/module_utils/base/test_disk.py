"""A disk is refused before it is filled, with both numbers and the variable that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base import disk
from ansible.module_utils.dlrm_fleet.base.errors import FleetError

GIB = 1024**3


@pytest.fixture
def two_gib_free(monkeypatch: pytest.MonkeyPatch) -> None:
    stat = type("Stat", (), {"f_bavail": 2, "f_frsize": GIB})
    monkeypatch.setattr(disk.os, "statvfs", lambda _path: stat)


@pytest.mark.usefixtures("two_gib_free")
def test_what_fits_with_room_to_spare_is_not_refused(tmp_path: Path) -> None:
    disk.refuse_full(tmp_path, 2 * GIB - disk.SPARE_BYTES, "cannot x", "the host's", "dlrm_y")


@pytest.mark.usefixtures("two_gib_free")
def test_one_byte_more_is_refused(tmp_path: Path) -> None:
    size = 2 * GIB - disk.SPARE_BYTES + 1
    with pytest.raises(FleetError) as refused:
        disk.refuse_full(tmp_path, size, "cannot x", "the host's", "dlrm_y")
    assert str(refused.value) == (
        "cannot x: the host's disk needs 2.00 GiB free, found 2.00 GiB. "
        "Free some, or set dlrm_y to a larger disk."
    )
