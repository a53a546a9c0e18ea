"""A role's argument_specs.yml equals its defaults/main.yml, and its README names every variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(path: Path) -> dict[str, Any]:
    assert path.is_file(), f"{path.relative_to(ROOT)} is missing"
    return yaml.safe_load(path.read_text()) or {}


def spec_options(role: Path) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = {}
    for entry_point in load(role / "meta/argument_specs.yml")["argument_specs"].values():
        options.update(entry_point.get("options", {}))
    return options


def test_there_are_roles() -> None:
    assert len(ROLES) >= 6


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_spec_equals_defaults(role: Path) -> None:
    defaults = load(role / "defaults/main.yml")
    options = spec_options(role)
    assert sorted(set(defaults) - set(options)) == [], "in defaults, not in argument_specs"
    for name, option in options.items():
        assert name.startswith(f"{role.name}_"), f"{name} lacks the role's prefix"
        assert option.get("description"), f"{name} has no description"
        if option.get("required"):
            assert name not in defaults, f"{name} is required and has a default"
            assert "default" not in option
        elif "default" in option:
            assert defaults.get(name) == option["default"], name
        else:
            assert name not in defaults or isinstance(defaults[name], str), (
                f"{name}: argument_specs lacks the default {defaults[name]!r}"
            )


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_readme_names_every_variable(role: Path) -> None:
    readme = (role / "README.md").read_text()
    assert [name for name in spec_options(role) if f"`{name}`" not in readme] == []
