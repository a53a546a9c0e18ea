from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

REPOSITORY = Path(__file__).resolve().parents[2]
CONTRACTS = REPOSITORY / "docs" / "contracts"


@pytest.fixture
def check() -> Callable[[str, Any], None]:
    """Validate a document against the schema of that name."""

    def validate(name: str, document: Any) -> None:
        schema = json.loads((CONTRACTS / f"{name}.schema.json").read_text())
        Draft202012Validator(schema).validate(document)

    return validate
