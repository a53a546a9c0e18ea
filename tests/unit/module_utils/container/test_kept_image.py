"""The storage node's entry of an image counts only if a builder made that image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.container.kept_image import kept_image, usable
from ansible.module_utils.dlrm_fleet.wire.strict_json import Malformed

NAME = "dlrm-bench:0123456789ab"
ENTRY: dict[str, Any] = {
    "schema_version": 2,
    "name": NAME,
    "id": f"sha256:{'ab' * 32}",
    "architecture": "x86_64",
    "bytes": 7,
    "sha256": "cd" * 32,
    "builder": "cheap-01",
    "builder_kind": "named",
    "saved_at": "2026-01-31T12:00:00Z",
}
EARLIER = {
    "schema_version": 1,
    **{name: ENTRY[name] for name in ("name", "id", "architecture", "bytes", "sha256")},
    "saved_from": "bench-01",
    "saved_at": "2026-01-31T12:00:00Z",
}


def looked(folder: Path, document: Any, measured: tuple[str, ...] = ("bench-01",)) -> Any:
    """(whether it is used, why not)"""
    path = folder / "entry.json"
    path.write_text(json.dumps(document))
    kept, why = usable(path, NAME, "x86_64", measured)
    return kept is not None, why


def test_a_builders_entry_is_used(tmp_path: Path) -> None:
    assert looked(tmp_path, ENTRY) == (True, "")
    assert kept_image(ENTRY, "x").as_dict() == ENTRY
    assert usable(tmp_path / "absent", NAME, "x86_64", ()) == (None, "")


def test_an_earlier_releases_entry_is_made_anew(tmp_path: Path) -> None:
    """A measured host had saved that image."""
    used, why = looked(tmp_path, EARLIER)
    assert not used
    assert "of an earlier release, which kept the image of a measured host" in why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "dlrm-bench:other"}, "of another image (dlrm-bench:other for x86_64)"),
        ({"architecture": "aarch64"}, "for aarch64)"),
        ({"builder": "bench-01"}, "is of bench-01, which is measured"),
        ({"builder_kind": "measured"}, "'builder_kind' of it must be one of"),
        ({"id": "sha256:1"}, "'id' of it must be"),
        ({"sha256": "/etc/passwd"}, "'sha256' of it must be 64 hexadecimal digits"),
        ({"bytes": -1}, "'bytes' of it must be an integer"),
        ({"builder": "a\nb"}, "'builder' of it must be one line"),
        ({"more": 1}, "unknown field 'more'"),
    ],
)
def test_any_other_entry_is_made_anew(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    used, said = looked(tmp_path, {**ENTRY, **changes})
    assert not used
    assert why in said
    assert "made anew" in said


@pytest.mark.parametrize("kind", ["controller", "storage"])
def test_controller_and_storage_node_may_measure_as_well(tmp_path: Path, kind: str) -> None:
    assert looked(tmp_path, {**ENTRY, "builder": "bench-01", "builder_kind": kind})[0]


@pytest.mark.parametrize("document", [[], None, 7, "x", {}, {"schema_version": True}])
def test_an_entry_of_another_shape_is_made_anew(tmp_path: Path, document: Any) -> None:
    used, why = looked(tmp_path, document)
    assert not used
    assert "made anew" in why


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text(json.dumps(ENTRY))
    (tmp_path / "link").symlink_to("other")
    kept, why = usable(tmp_path / "link", NAME, "x86_64", ())
    assert kept is None
    assert "it is a link" in why


def test_a_newer_releases_entry_is_called_newer(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="newer release of dlrm-fleet"):
        looked(tmp_path, {**ENTRY, "schema_version": 3})
