"""Rules of the repository: small folders, required files, pinned locks."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MANDATORY = [
    "ansible.cfg", "playbooks", "roles", "library", "inventories", "molecule", "requirements.yml",
    "run_benchmark.yml", "LICENSE", "README.md", "Makefile", ".ci/run",
]  # fmt: skip


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", MANDATORY)
def test_mandatory_top_level(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize(
    ("patterns", "most"),
    [
        (
            ("library/*.py", "module_utils/*.py", "plugins/*.py", "benchmark/*.py", "tests/*.py"),
            400,
        ),
        (("roles/*/tasks/*.yml", "playbooks/tasks/*.yml"), 80),
        (("plugins/action/*.py",), 80),
    ],
)
def test_rooms_stay_small(patterns: tuple[str, ...], most: int) -> None:
    files = tracked(*patterns)
    assert files
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {name: lines for name, lines in lengths.items() if lines > most} == {}


def test_locks_are_hash_pinned_and_name_no_address() -> None:
    locks = [path for path in tracked("*requirements*.txt") if "fixtures" not in path.parts]
    assert len(locks) >= 3
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text, f"{lock} names an address"
        pins = re.findall(r"^[A-Za-z0-9_.-]+(?:\[.*?\])?==\S+.*?(?=^\S|\Z)", text, re.M | re.S)
        assert pins, lock
        assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == [], lock


def test_no_unsafe_habits() -> None:
    unsafe = re.compile(
        r"host_key_checking *= *(False|no)|StrictHostKeyChecking[= ]no|ssh-keyscan"
        r"|--privileged|privileged: *true|ignore_errors: *(true|yes)|curl [^|]*\| *(ba)?sh"
    )
    files = tracked("ansible.cfg", "playbooks", "roles", "library", "module_utils", "plugins",
                    "inventories", "benchmark", "Makefile", "tools")  # fmt: skip
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        if path.suffix not in {".pt", ".bin"}
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if unsafe.search(line)
    ]
    assert found == []
