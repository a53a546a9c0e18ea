from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import schemas


@pytest.fixture
def check() -> Callable[[str, Any], None]:
    """Validate a document against the schema of that name."""

    def validate(name: str, document: Any) -> None:
        schemas.validator(name).validate(document)

    return validate
