"""A real engine with a tiny image, and a host's root."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tiny import image
from tiny.machine import Machine


@pytest.fixture(scope="session")
def tiny_image() -> Iterator[str]:
    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        pytest.fail(f"These tests need a container engine on this machine: {error}")
    name = f"dlrm-tiny:{os.getpid()}"
    image.make(name)
    yield name
    image.remove(name)


@pytest.fixture
def machine(tiny_image: str) -> Iterator[Machine]:
    """Not in pytest's folder, which one user may enter: the modules work as another one."""
    with tempfile.TemporaryDirectory(prefix="dlrm-host-") as folder:
        Path(folder).chmod(0o755)
        made = Machine(Path(folder) / "root", tiny_image)
        yield made
        made.remove_containers()
