"""Callback dlrm_controller: localhost stays in plays that name it beside machines."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

REPOSITORY = Path(__file__).resolve().parents[3]
SPEC = importlib.util.spec_from_file_location(
    "callback_dlrm_controller", REPOSITORY / "plugins/callback/dlrm_controller.py"
)
assert SPEC is not None
assert SPEC.loader is not None
CALLBACK = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(CALLBACK)
INVENTORY = """
all:
  children:
    benchmark_hosts: {hosts: {a: , b: , c: }}
    arm: {hosts: {b: , c: , d: }}
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Any:
    path = tmp_path / "hosts.yml"
    path.write_text(INVENTORY)
    return InventoryManager(loader=DataLoader(), sources=[str(path)])


def limited(inventory: Any, limit: str | None, *hosts: Any) -> list[str]:
    """Names in a play on the machines and localhost, after the callback saw plays on `hosts`."""
    inventory.subset(limit)
    manager = SimpleNamespace(_inventory=inventory)
    plays = [SimpleNamespace(hosts=one, get_variable_manager=lambda: manager) for one in hosts]
    CALLBACK.CallbackModule().v2_playbook_on_start(SimpleNamespace(get_plays=lambda: plays))
    return [host.name for host in inventory.get_hosts("benchmark_hosts:localhost")]


@pytest.mark.parametrize(
    ("limit", "names"),
    [
        (None, ["a", "b", "c", "localhost"]),
        ("b", ["b", "localhost"]),
        ("b,localhost", ["b", "localhost"]),
        ("!b", ["a", "c", "localhost"]),
        ("!b:!c", ["a", "localhost"]),
        ("&arm", ["b", "c", "localhost"]),
        ("benchmark_hosts:&arm:!c", ["b", "localhost"]),
        ("d", ["localhost"]),
    ],
)
def test_a_limit_chooses_machines(inventory: Any, limit: str | None, names: list[str]) -> None:
    assert limited(inventory, limit, "benchmark_hosts:localhost") == names


def test_a_limit_file_with_empty_lines(inventory: Any, tmp_path: Path) -> None:
    path = tmp_path / "failed.limit"
    path.write_text("a\nlocalhost\n\n")
    assert limited(inventory, f"@{path}", "benchmark_hosts:localhost") == ["a", "localhost"]


@pytest.mark.parametrize("hosts", ["localhost", ["localhost"], "storage", "benchmark_hosts"])
def test_other_plays_are_left_to_the_limit(inventory: Any, hosts: Any) -> None:
    assert limited(inventory, "b", hosts) == ["b"]


@pytest.mark.parametrize(
    "hosts", ["a,localhost", ["a", "localhost"], ["benchmark_hosts:localhost"]]
)
def test_every_way_to_name_both(inventory: Any, hosts: Any) -> None:
    assert limited(inventory, "b", "storage", hosts) == ["b", "localhost"]
