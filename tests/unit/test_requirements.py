"""requirements.yml names the collections the project uses, in the versions the lock installs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import ansible_collections
import pytest
import yaml

ROOT = Path(__file__).parents[2]
READ = ["ansible.cfg", "run_benchmark.yml", "inventories", "molecule", "playbooks", "roles"]
REQUIRED = {
    entry["name"]: entry["version"]
    for entry in yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
}


def installed() -> dict[str, str]:
    """Name and version of each collection beside this Python's Ansible, from its MANIFEST.json."""
    found = {}
    for folder in ansible_collections.__path__:
        for manifest in Path(folder).glob("*/*/MANIFEST.json"):
            about = json.loads(manifest.read_text())["collection_info"]
            found[f"{about['namespace']}.{about['name']}"] = about["version"]
    return found


def used() -> dict[str, str]:
    """Each installed collection something of which is named, with one file that does."""
    names = re.compile(r"\b(" + "|".join(map(re.escape, installed())) + r")\.[a-z]\w*")
    found: dict[str, str] = {}
    for name in READ:
        path = ROOT / name
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.suffix in {".yml", ".j2", ".cfg"} and file.is_file():
                for collection in names.findall(file.read_text()):
                    found.setdefault(collection, str(file.relative_to(ROOT)))
    return found


@pytest.mark.parametrize("name", REQUIRED)
def test_version_is_the_installed_one(name: str) -> None:
    assert installed().get(name) == REQUIRED[name]


def test_every_used_collection_is_required_and_no_other() -> None:
    found = used()
    missing = {name: file for name, file in found.items() if name not in REQUIRED}
    assert missing == {}, "used, not in requirements.yml"
    assert sorted(set(REQUIRED) - set(found)) == [], "in requirements.yml, used nowhere"
