"""A module's documentation equals its arguments, ansible-doc reads it, and its examples use it."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.dlrm_fleet.request import request
from ansible.plugins.loader import fragment_loader
from ansible.utils.plugin_docs import add_fragments

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (REPOSITORY / "library").glob("*.py"))
COMPARED = ("type", "required", "default", "choices", "elements")
IMPLIED = {"type": "str", "required": False, "default": None, "choices": None, "elements": None}


def documented(option: dict[str, Any]) -> dict[str, Any]:
    """An option's type, default and so on; a part that is left out gets its implied value."""
    found = {**IMPLIED, **{name: option[name] for name in COMPARED if name in option}}
    inner = option.get("options") or option.get("suboptions") or {}
    return {**found, "options": {name: documented(inner[name]) for name in inner}}


def load(name: str) -> Any:
    return importlib.import_module(name)


def loaded_yaml(text: str) -> Any:
    return yaml.safe_load(text)


def whole_documentation(name: str) -> Any:
    """With the fragments it names, put together as ansible-doc does."""
    fragment_loader.add_directory(str(REPOSITORY / "plugins/doc_fragments"))
    path = REPOSITORY / "library" / f"{name}.py"
    documentation = loaded_yaml(load(name).DOCUMENTATION)
    add_fragments(documentation, str(path), fragment_loader, is_module=True)
    return documentation


@pytest.mark.parametrize("name", MODULES)
def test_documented_options_are_the_arguments(name: str) -> None:
    module, documentation = load(name), whole_documentation(name)
    assert documentation["module"] == name
    options = {key: documented(value) for key, value in documentation["options"].items()}
    arguments = {key: documented(value) for key, value in module.ARGUMENTS.items()}
    assert options == arguments
    assert all(option.get("description") for option in documentation["options"].values())
    assert {"check_mode", "diff_mode", "idempotent"} <= set(documentation["attributes"])


@pytest.mark.parametrize("name", MODULES)
def test_examples_use_documented_options(name: str) -> None:
    module = load(name)
    tasks = loaded_yaml(module.EXAMPLES)
    used = [task for task in tasks if name in task]
    assert used, "no example calls the module"
    for task in used:
        given = task[name] or {}
        assert set(given) <= set(module.ARGUMENTS)
        required = {key for key, value in module.ARGUMENTS.items() if value.get("required")}
        assert required <= set(given)


@pytest.mark.parametrize("name", MODULES)
def test_returned_values_are_described(name: str) -> None:
    for key, value in loaded_yaml(load(name).RETURN).items():
        assert {"description", "returned", "type"} <= set(value), key


def test_the_action_collects_exactly_the_public_variables() -> None:
    path = REPOSITORY / "plugins/action/dlrm_request.py"
    spec = importlib.util.spec_from_file_location("action_dlrm_request", path)
    assert spec is not None
    assert spec.loader is not None
    action = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(action)
    assert action.PUBLIC == request.PUBLIC
    assert action.ADDRESSES == request.ADDRESSES


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "plugins/action").glob("*.py")), ids=lambda path: path.stem
)
def test_action_plugins_are_small_and_import_nothing_of_ours(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 80
    assert "dlrm_fleet" not in text
