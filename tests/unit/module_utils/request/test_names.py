"""Which names are slips of a known one, and which are names of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.request.names import documented, meant_by, near_misses
from ansible.module_utils.dlrm_fleet.request.request import PUBLIC

REPOSITORY = Path(__file__).parents[4]
KNOWN = sorted({*PUBLIC, "dlrm_host_root", "dlrm_storage_root", "dlrm_image_base"})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("tuen", "tune"),
        ("audti", "audit"),
        ("audt", "audit"),
        ("precison", "precision"),
        ("presicion", "precision"),
        ("realese", "release"),
        ("Tune", "tune"),
        ("dataRows", "data_rows"),
        ("data-rows", "data_rows"),
        ("scenarios", "scenario"),
        ("force_stage", "force_stages"),
        ("dlrm_hots_root", "dlrm_host_root"),
        ("dlrm_stroage_rot", "dlrm_storage_root"),
        ("drlm_image_base", "dlrm_image_base"),
    ],
)
def test_slips(name: str, meant: str) -> None:
    assert meant_by(name, KNOWN) == meant


@pytest.mark.parametrize(
    "name",
    [
        *("need", "feed", "seeds", "speed", "keeps", "kept", "peek", "tuned", "june", "audits"),
        *("audio", "profiles", "profiler", "releases", "released", "verity", "row_map", "run_ids"),
        *("data_root", "max_duration", "revision", "tags", "state", "zone", "os_profile", "owner"),
        *("dlrm_host_rack", "dlrm_lab", "host_root", "image_base"),
    ],
)
def test_names_of_their_own(name: str) -> None:
    assert meant_by(name, KNOWN) is None


def test_only_what_is_unknown_is_named_with_those_who_carry_it() -> None:
    hosts = [f"host bench-{number}" for number in range(1, 8)]
    carried = {"tune": ["group all"], "dlrm_host_root": ["group all"], "ansible_tuen": ["host a"]}
    assert near_misses({**carried, "mine": ["host a"]}, KNOWN) == []
    [said] = near_misses({**carried, "tuen": hosts}, KNOWN)
    assert said == (
        "tuen: unknown variable; did you mean tune? It stands in the inventory, at host bench-1,"
        " host bench-2, host bench-3, host bench-4, host bench-5 and 2 others."
        " If it is your own, give it another name."
    )


def test_our_own_names_are_no_slips_of_each_other() -> None:
    """Else nobody could add a variable to a role without a refusal."""
    names = documented([str(REPOSITORY / "roles")], str(REPOSITORY))
    assert "dlrm_host_root" in names
    assert near_misses({name: ["group all"] for name in {*names, *PUBLIC}}, names) == []
