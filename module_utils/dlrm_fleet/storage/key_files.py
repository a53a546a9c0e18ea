"""Key, authorized_keys and known_hosts files of a fleet on disk.

community.crypto.openssh_keypair does not serve: it makes one key per call and takes no lock, but
tasks of many hosts make a fleet's keys at once. ansible.posix.authorized_key does not serve: it
needs a call per forced command, keeps the line of a replaced key and does not flush its file.
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..base.commands import Runner
from ..base.documents import sync_directory, write_atomic
from ..base.errors import FleetError
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
    temporary.replace(folder / mode)
    (folder / f"{mode}.partial.pub").replace(target)
    sync_directory(folder)


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
    new = known_hosts([host])
    with _locked(folder):
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        name = new.split(" ", 1)[0]
        kept = [line for line in text.splitlines() if not line.startswith(f"{name} ")]
        wanted = "".join(f"{line}\n" for line in kept) + new
        if set(wanted.splitlines()) == set(text.splitlines()):
            return False
        write_atomic(path, wanted.encode())
    return True


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


def authorized_keys(user: str) -> Path:
    try:
        home = pwd.getpwnam(user).pw_dir
    except KeyError:
        raise FleetError(
            f"cannot let the storage node in as {user!r}", "this host has no such user"
        ) from None
    return Path(home) / ".ssh" / "authorized_keys"


def write_authorized_keys(path: Path, text: str, user: str) -> None:
    """Write it with this owner and mode 0600, as sshd's StrictModes requires."""
    entry = pwd.getpwnam(user)
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700)
        os.chown(path.parent, entry.pw_uid, entry.pw_gid)
    write_atomic(path, text.encode(), 0o600, (entry.pw_uid, entry.pw_gid))


def ensure_folder(path: Path, user: str) -> None:
    entry = pwd.getpwnam(user)
    if not path.is_dir():
        path.mkdir(mode=0o755)
    os.chown(path, entry.pw_uid, entry.pw_gid)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with exclusive_lock(folder / ".lock"):
        yield
