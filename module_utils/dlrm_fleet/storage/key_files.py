"""Keys and known_hosts of a fleet on the storage node's disk.

community.crypto.openssh_keypair does not serve: it makes one key per call and takes no lock, but
tasks of many hosts make a fleet's keys at once. ansible.posix.authorized_key does not serve: it
needs a call per forced command, keeps the line of a replaced key and does not flush its file.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..base.commands import Runner
from ..base.documents import sync_directory, write_atomic
from ..base.errors import FleetError
from ..base.line_file import read, replaced
from ..base.locks import exclusive_lock
from .host.gate import MODES
from .keys import FLEET, known_hosts


def fleet_folder(base: Path, fleet: str) -> Path:
    if not FLEET.fullmatch(fleet):
        raise FleetError(
            f"fleet {fleet!r} is not allowed", "use letters, digits, '_', '.' and '-' in its name"
        )
    return base / fleet


def ensure_keys(folder: Path, run: Runner, check: bool) -> tuple[bool, dict[str, str]]:
    """Make the keys that are missing: (changed, public half by mode; "" if check mode made none)"""
    missing = [mode for mode in MODES if not (folder / f"{mode}.pub").exists()]
    if missing and not check:
        with _locked(folder):
            for mode in missing:
                _make_key(folder, mode, run)
    public = {}
    for mode in MODES:
        path = folder / f"{mode}.pub"
        public[mode] = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    return bool(missing), public


def _make_key(folder: Path, mode: str, run: Runner) -> None:
    """The public half gets its name last: where it is, both are."""
    target = folder / f"{mode}.pub"
    if target.exists():
        return
    temporary = folder / f"{mode}.partial"
    for path in (temporary, folder / f"{mode}.partial.pub"):
        path.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"dlrm-fleet-{mode}"]
    rc, _out, err = run([*command, "-f", str(temporary)])
    if rc != 0:
        raise FleetError(
            f"cannot make the fleet's {mode} key in {str(folder)!r}",
            err.strip() or f"ssh-keygen ended with {rc}",
            "Install the OpenSSH client on the storage node",
        )
    # A key that a power cut left empty would keep its name.
    for path in (temporary, folder / f"{mode}.partial.pub"):
        _sync(path)
    temporary.replace(folder / mode)
    (folder / f"{mode}.partial.pub").replace(target)
    sync_directory(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_keys(folder: Path, check: bool) -> bool:
    """Remove the keys, known_hosts and the lock; other files stay. True: there was something."""
    names = [*MODES, *(f"{mode}.pub" for mode in MODES), "known_hosts", ".lock"]
    found = [folder / name for name in names if (folder / name).exists()]
    if not check:
        for path in found:
            path.unlink()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return bool(found)


def know_host(folder: Path, host: dict[str, Any]) -> bool:
    """Replace the lines of this address and port in known_hosts. True when they changed."""
    path = folder / "known_hosts"
    new = known_hosts([host]).splitlines()
    name = f"{new[0].split(' ', 1)[0]} ".encode()
    with _locked(folder):
        before = read(path)
        after = replaced(before, lambda line: line.startswith(name), new)
        if after != before:
            write_atomic(path, after)
    return after != before


def own_addresses() -> list[str]:
    """The addresses this machine sends from, without loopback and link-local ones."""
    found = set()
    for family, where in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            # Connecting a datagram socket sends nothing; it only chooses the sender's address.
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((where, 9))
                found.add(str(probe.getsockname()[0]))
        except OSError:
            continue
    return sorted(address for address in found if not address.startswith(("127.", "::1", "fe80")))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with exclusive_lock(folder / ".lock"):
        yield
