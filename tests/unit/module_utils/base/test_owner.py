"""Who owns what lies below a root: two numbers, and never root where a container runs."""

from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.owner import Owner, ids


def test_both_read_the_same_numbers() -> None:
    owner = Owner("01000:1001")
    assert (owner.uid, owner.gid) == ids("01000:1001") == (1000, 1001)
    assert owner.text == "1000:1001"
    assert ids("0:0") == (0, 0)


@pytest.mark.parametrize(
    "text", ["", "1000", "1000:", ":1000", "a:1", "1:2:3", "-1:0", "1 :1", "\u00b2:1"]
)
@pytest.mark.parametrize("read", [ids, Owner])
def test_other_text_is_refused(read: type[Owner], text: str) -> None:
    with pytest.raises(FleetError, match="is not allowed: wanted '<uid>:<gid>', two numbers"):
        read(text)


def test_root_owns_no_stage() -> None:
    with pytest.raises(FleetError, match="a benchmark's container never runs as root"):
        Owner("0:1000")
