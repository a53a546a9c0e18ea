"""The verdict says which hosts of one architecture ran images of different digests."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.results.images import images_note


def result(host: str, digest: Any, architecture: Any = "x86_64") -> dict[str, Any]:
    image = {"name": "dlrm-bench:1", "id": digest}
    return {"host": host, "run": {"image": image, "host": {"architecture": architecture}}}


A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def test_different_digests_of_one_architecture_are_listed() -> None:
    results = [result("h3", A), result("h2", B), result("h1", A), result("arm", "c", "aarch64")]
    assert images_note(results) == [
        "The image dlrm-bench:1 has 2 digests on x86_64: sha256:aaaaaaaaaaaa on h1, h3; "
        "sha256:bbbbbbbbbbbb on h2. These hosts built it for themselves."
    ]


def test_one_image_for_each_architecture_needs_no_word() -> None:
    assert images_note([result("h1", A), result("h2", A), result("arm", B, "aarch64")]) == []


@pytest.mark.parametrize("run", [None, [], {}, {"image": []}, {"image": {"name": 1, "id": "x"}}])
def test_a_record_without_an_image_is_left_out(run: Any) -> None:
    assert images_note([{"host": "h1", "run": run}, result("h2", A), result("h3", A)]) == []


def test_nothing_of_a_record_reaches_a_terminal_unescaped() -> None:
    [line] = images_note([result("h1", "\x1b[2J"), result("h\n2", A)])
    assert line.isprintable()
