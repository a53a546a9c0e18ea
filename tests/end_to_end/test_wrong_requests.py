"""A wrong request ends with variable, value and allowed values before any host is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .fleet import Fleet


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        pytest.param(
            {"precision": "int7"}, ["precision", "'int7'", "int8", "fp32"], id="precision"
        ),
        pytest.param({"precision": None}, ["precision", "int8", "fp32"], id="no-precision"),
        pytest.param({"precison": "int8"}, ["precison", "precision"], id="misspelt"),
        pytest.param(
            {"profile": "demmo"}, ["profile", "'demmo'", "demo", "official"], id="profile"
        ),
        pytest.param({"scenario": "offlin"}, ["scenario", "'offlin'", "offline"], id="scenario"),
        pytest.param({"deadline": "-5"}, ["deadline", "-5"], id="negative-deadline"),
        pytest.param(
            {"profile": "official"},
            ["official", "weights_source", "data_source"],
            id="official-without-source",
        ),
    ],
)
def test_refused_in_words(tmp_path: Path, variables: dict[str, Any], wanted: list[str]) -> None:
    fleet = Fleet(tmp_path)
    request = {"precision": "int8", **variables}
    if variables.get("profile") == "official":
        fleet.variables = {"row_cap": None, "data_rows": None, "min_duration": None}
    output = fleet.run(
        succeeds=False, **{name: value for name, value in request.items() if value is not None}
    )
    flat = " ".join(output.split())
    assert [word for word in wanted if word not in flat] == [], output
    assert "Prepare the host" not in output
    assert not fleet.root.exists()
    assert list(fleet.home.iterdir()) == []
