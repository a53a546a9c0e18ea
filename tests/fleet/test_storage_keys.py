"""Each of the fleet's two keys opens one command and nothing else; tried over real SSH."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .hosts import USER, Fleet, Host
from .storage_world import KEYS, ROOT, give_run, play, ssh, storage_fleet

SECRET = "/home/bench/secret.txt"
RSYNC = ("rsync", "--no-protect-args", "--no-perms", "--no-times")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("keys")
    with storage_fleet(folder, count=1, name="storage-keys") as made:
        [host] = made.benchmark_hosts
        give_run(host, folder)
        host.shell(f"echo secret >{SECRET}; chown bench: {SECRET}; ln -s {SECRET} {ROOT}/leak")
        play(made, "access")
        yield made


@pytest.fixture
def host(fleet: Fleet) -> Host:
    return fleet.benchmark_hosts[0]


def rsync(fleet: Fleet, key: str, *words: str) -> subprocess.CompletedProcess[str]:
    shell = f"ssh -i {KEYS}/{key} -o BatchMode=yes -o UserKnownHostsFile={KEYS}/known_hosts"
    return subprocess.run(
        ["docker", "exec", fleet.storage.container, *RSYNC, "-e", shell, *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_again_changes_nothing(fleet: Fleet) -> None:
    output = play(fleet, "access")
    recap = output.rsplit("PLAY RECAP", 1)[1]
    assert recap.count("changed=0") == 2, output


def test_the_read_key_reads_a_file_of_the_root(fleet: Fleet, host: Host) -> None:
    done = rsync(fleet, "read", f"{USER}@{host.address}:{ROOT}/host.json", "/tmp/host.json")
    assert done.returncode == 0, done.stderr
    assert "arm-01" in fleet.storage.run("cat", "/tmp/host.json")


def test_the_write_key_writes_into_incoming(fleet: Fleet, host: Host) -> None:
    fleet.storage.shell("echo pushed >/tmp/pushed")
    done = rsync(fleet, "write", "/tmp/pushed", f"{USER}@{host.address}:{ROOT}/incoming/")
    assert done.returncode == 0, done.stderr
    assert host.run("cat", f"{ROOT}/incoming/pushed") == "pushed\n"


@pytest.mark.parametrize("key", ["read", "write"])
@pytest.mark.parametrize(
    "command",
    [
        (),
        ("id",),
        ("bash", "-c", "id"),
        ("rsync --server --sender -e.LsfxCIvu . /etc/passwd; id",),
        ("rsync --server --sender -e.LsfxCIvu . $(id)",),
        ("scp", "-f", f"{ROOT}/host.json"),
        ("dlrm-fleet", "result", "../../x"),
    ],
)
def test_no_shell_and_no_other_command(
    fleet: Fleet, host: Host, key: str, command: tuple[str, ...]
) -> None:
    done = ssh(fleet, host, key, *command)
    assert done.returncode == 77, done
    assert "dlrm-fleet: refused" in done.stderr
    assert "uid=" not in done.stdout


@pytest.mark.parametrize("key", ["read", "write"])
def test_no_terminal_and_no_file_transfer_subsystem(fleet: Fleet, host: Host, key: str) -> None:
    done = ssh(fleet, host, key, options=("-tt",))
    assert done.returncode != 0
    assert "PTY allocation request failed" in done.stderr, done
    done = ssh(fleet, host, key, "sftp", options=("-s",))
    assert done.returncode == 77, done


@pytest.mark.parametrize("key", ["read", "write"])
def test_no_port_forwarding(fleet: Fleet, host: Host, key: str) -> None:
    """-W asks sshd for a connection to its own port: with an ordinary key its banner comes back."""
    done = ssh(fleet, host, key, options=("-W", "127.0.0.1:22"))
    assert done.returncode != 0
    assert "SSH-2.0" not in done.stdout
    assert "administratively prohibited" in done.stderr or "forwarding" in done.stderr, done.stderr


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", SECRET, f"{ROOT}/../../etc/passwd", f"{ROOT}/leak", f"{ROOT}/runs", ROOT],
)
def test_the_read_key_reads_nothing_else(fleet: Fleet, host: Host, path: str) -> None:
    for options in ((), ("--copy-links",), ("--relative",)):
        done = rsync(fleet, "read", *options, f"{USER}@{host.address}:{path}", "/tmp/stolen/")
        assert done.returncode != 0
        assert "dlrm-fleet: refused" in done.stderr, done.stderr
    assert fleet.storage.shell("ls -A /tmp/stolen 2>/dev/null | wc -l").strip() == "0"


@pytest.mark.parametrize("option", ["--recursive", "--archive", "--remove-source-files", "--links"])
def test_the_read_key_takes_no_other_option(fleet: Fleet, host: Host, option: str) -> None:
    done = rsync(fleet, "read", option, f"{USER}@{host.address}:{ROOT}/host.json", "/tmp/x")
    assert "is not allowed" in done.stderr
    assert host.run("ls", f"{ROOT}/host.json").strip() == f"{ROOT}/host.json"


def test_the_read_key_does_not_write(fleet: Fleet, host: Host) -> None:
    fleet.storage.shell("echo evil >/tmp/evil")
    done = rsync(fleet, "read", "/tmp/evil", f"{USER}@{host.address}:{ROOT}/incoming/")
    assert "this key may only read" in done.stderr
    assert host.run("ls", f"{ROOT}/incoming").count("evil") == 0


def test_the_write_key_does_not_read(fleet: Fleet, host: Host) -> None:
    done = rsync(fleet, "write", f"{USER}@{host.address}:{ROOT}/host.json", "/tmp/unread")
    assert "this key may only write" in done.stderr


@pytest.mark.parametrize(
    "target",
    [f"{ROOT}/", f"{ROOT}/incoming/../", f"{ROOT}/incoming/../evil", "/home/bench/.ssh/", "/tmp/"],
)
def test_the_write_key_writes_nowhere_else(fleet: Fleet, host: Host, target: str) -> None:
    fleet.storage.shell("echo evil >/tmp/evil")
    done = rsync(fleet, "write", "/tmp/evil", f"{USER}@{host.address}:{target}")
    assert "this key may only write into" in done.stderr, done.stderr
    assert host.shell("find / -xdev -name evil 2>/dev/null") == ""


@pytest.mark.parametrize(
    "option", ["--recursive", "--links", "--relative", "--delete", "--devices"]
)
def test_the_write_key_takes_no_other_option(fleet: Fleet, host: Host, option: str) -> None:
    fleet.storage.shell("mkdir -p /tmp/tree && ln -sf /etc /tmp/tree/link")
    words = ("--dirs",) if option == "--delete" else ()
    done = rsync(
        fleet, "write", option, *words, "/tmp/tree/link", f"{USER}@{host.address}:{ROOT}/incoming/"
    )
    assert "is not allowed" in done.stderr, done.stderr
    assert host.shell(f"find {ROOT}/incoming -type l") == ""


def test_a_link_in_place_of_incoming_is_refused(fleet: Fleet, host: Host) -> None:
    host.shell(f"mv {ROOT}/incoming {ROOT}/aside; ln -s /home/bench {ROOT}/incoming")
    try:
        done = rsync(fleet, "write", "/tmp/pushed", f"{USER}@{host.address}:{ROOT}/incoming/")
        assert "this key may only write into" in done.stderr
        assert "is a link" in play(fleet, "access", succeeds=False)
    finally:
        host.shell(f"rm {ROOT}/incoming; mv {ROOT}/aside {ROOT}/incoming")


def test_from_another_address_the_keys_open_nothing(
    fleet: Fleet, host: Host, tmp_path: Path
) -> None:
    """The same private key on the host itself: a stolen key is of no use elsewhere."""
    private = fleet.storage.run("cat", f"{KEYS}/read")
    host.run("bash", "-c", "umask 077; cat >/tmp/stolen_key", text=private)
    known = fleet.storage.run("cat", f"{KEYS}/known_hosts")
    host.run("bash", "-c", "cat >/tmp/stolen_known", text=known)
    said = host.shell(
        "ssh -i /tmp/stolen_key -o BatchMode=yes -o UserKnownHostsFile=/tmp/stolen_known"
        f" {USER}@{host.address} dlrm-fleet result x 2>&1 || true"
    )
    host.run("rm", "/tmp/stolen_key")
    assert "Permission denied (publickey" in said, said


def test_private_halves_stay_on_the_storage_node(fleet: Fleet) -> None:
    modes = fleet.storage.shell(f"stat -c '%a %U' {KEYS} {KEYS}/read {KEYS}/write").split("\n")
    assert modes[:3] == ["700 dlrm-storage", "600 dlrm-storage", "600 dlrm-storage"]


def test_the_users_other_lines_stay_and_removal_takes_ours(fleet: Fleet, host: Host) -> None:
    path = "/home/bench/.ssh/authorized_keys"
    before = host.run("cat", path).splitlines()
    ours = [line for line in before if "dlrm-fleet:test:" in line]
    assert len(ours) == 2
    assert all(line.startswith('restrict,from="') for line in ours)
    play(fleet, "remove")
    assert host.run("cat", path).splitlines() == [line for line in before if line not in ours]
    assert fleet.storage.shell(f"ls {KEYS} 2>&1 || true").count("No such file") == 1
