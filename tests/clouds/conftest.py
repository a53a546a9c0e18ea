"""Runs each test of the suite once for each cloud, against the cloud's stand-in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.cloud.retry import Pace

from .worlds import WORLDS, World

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@pytest.fixture(autouse=True)
def _nobody_outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets the clouds' libraries reach only the stand-ins on this machine."""
    asked: list[str] = []
    connect = socket.socket.connect

    def checked(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            asked.append(str(address))
            raise ConnectionRefusedError(f"tests reach nobody outside: {address}")
        connect(self, address)

    resolve = socket.getaddrinfo

    def looked_up(host: Any, *rest: Any, **more: Any) -> Any:
        if host not in (*LOOPBACK, None):
            asked.append(str(host))
            raise socket.gaierror(f"tests reach nobody outside: {host}")
        return resolve(host, *rest, **more)

    monkeypatch.setattr(socket.socket, "connect", checked)
    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    yield
    assert asked == []


@pytest.fixture(scope="session", params=sorted(WORLDS))
def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    made = WORLDS[request.param](tmp_path_factory.mktemp(request.param))
    yield made
    made.server.stop()


@pytest.fixture
def world(cloud: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """An empty cloud, with the test signed in."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    cloud.server.reset()
    return cloud


@pytest.fixture
def pace() -> Pace:
    """The product's waits, in milliseconds. The limits are far longer than a busy machine needs."""
    return Pace(base=0.005, cap=0.05, limit=1.0, poll=0.005, patience=120.0, workers=8)
