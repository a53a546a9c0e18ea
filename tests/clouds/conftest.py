"""Each test of the suite runs once a cloud, against its stand-in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible.module_utils.dlrm_fleet.cloud.retry import Pace

from .worlds import WORLDS, World


@pytest.fixture(scope="session", params=sorted(WORLDS))
def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    made = WORLDS[request.param](tmp_path_factory.mktemp(request.param))
    yield made
    made.server.stop()


@pytest.fixture
def world(cloud: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A cloud with nothing in it, signed in."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    cloud.server.reset()
    return cloud


@pytest.fixture
def pace() -> Pace:
    """The product's logic, in milliseconds; limits far beyond what a loaded machine needs."""
    return Pace(base=0.005, cap=0.05, limit=1.0, poll=0.005, patience=120.0, workers=8)
