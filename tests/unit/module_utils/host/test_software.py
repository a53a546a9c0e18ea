"""What software a host has."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.host import software as host_programs

LOCKED = """\
# compiled
docker==7.2.0 \\
    --hash=sha256:00
pywin32==312 ; sys_platform == 'win32' \\
    --hash=sha256:01
requests==2.32.5 ; python_full_version < '3.10' \\
    --hash=sha256:02
requests==2.34.2 ; python_full_version >= '3.10' \\
    --hash=sha256:03
charset-normalizer==3.5.2 \\
    --hash=sha256:04
"""


def installed(environment: Path, *names: str) -> None:
    (environment / "bin").mkdir(parents=True, exist_ok=True)
    (environment / "bin/python").touch()
    for name in names:
        folder = environment / "lib/python3.11/site-packages" / f"{name}.dist-info"
        folder.mkdir(parents=True)
        (folder / "RECORD").touch()


def test_every_package_is_missing_without_an_environment(tmp_path: Path) -> None:
    missing = host_programs.missing_packages(tmp_path / "venv", LOCKED)
    assert missing == ["charset-normalizer", "docker", "requests"]


def test_one_of_a_names_versions_is_enough(tmp_path: Path) -> None:
    installed(tmp_path, "docker-7.2.0", "requests-2.34.2", "charset_normalizer-3.5.2")
    assert host_programs.missing_packages(tmp_path, LOCKED) == []


def test_another_version_and_a_half_installed_package_are_missing(tmp_path: Path) -> None:
    installed(tmp_path, "docker-7.1.0", "requests-2.34.2", "charset_normalizer-3.5.2")
    # pip writes RECORD last.
    (tmp_path / "lib/python3.11/site-packages/requests-2.34.2.dist-info/RECORD").unlink()
    assert host_programs.missing_packages(tmp_path, LOCKED) == ["docker", "requests"]


def test_an_environment_without_its_python_has_nothing(tmp_path: Path) -> None:
    installed(tmp_path, "docker-7.2.0", "requests-2.34.2", "charset_normalizer-3.5.2")
    (tmp_path / "bin/python").unlink()
    assert len(host_programs.missing_packages(tmp_path, LOCKED)) == 3


def test_programs_are_found_where_they_lie(tmp_path: Path) -> None:
    for path in ("usr/bin/rsync", "usr/sbin/dockerd", "opt/pip"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = host_programs.programs(tmp_path, ["rsync", "pip", "dockerd", "rsync"])
    assert found == ["dockerd", "rsync"]


def test_a_user_has_ids_or_is_none() -> None:
    assert host_programs.user_ids("root") == "0:0"
    assert host_programs.user_ids("nobody-of-this-name") is None


@pytest.fixture
def answer() -> dict[str, bytes]:
    return {"body": b""}


@pytest.fixture
def engine_socket(tmp_path: Path, answer: dict[str, bytes]) -> Iterator[str]:
    path = str(tmp_path / "engine.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)

    def serve() -> None:
        connection, _address = listener.accept()
        connection.recv(65536)
        connection.sendall(answer["body"])
        connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield path
    listener.close()


def http(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(body)) + body


def test_an_engine_says_what_it_is(engine_socket: str, answer: dict[str, bytes]) -> None:
    said = {"ServerVersion": "27.1", "LiveRestoreEnabled": True}
    answer["body"] = http("200 OK", json.dumps(said).encode())
    assert host_programs.engine(engine_socket) == {
        "answers": True,
        "version": "27.1",
        "live_restore": True,
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage\r\n\r\n",
        http("500 Broken", b"{}"),
        http("200 OK", b"[]"),
        http("200 OK", b"{"),
    ],
)
def test_what_is_no_engine_does_not_answer(
    engine_socket: str, answer: dict[str, bytes], body: bytes
) -> None:
    answer["body"] = body
    assert host_programs.engine(engine_socket)["answers"] is False


def test_no_socket_is_no_engine(tmp_path: Path) -> None:
    assert host_programs.engine(os.fspath(tmp_path / "none.sock"))["answers"] is False
