"""How fast artifacts are transferred between containers of this machine, in ratios of one run.

The storage node's own program is timed (what its timer starts), so no Ansible is in the figure.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from fleet.engine import docker, wait_until
from fleet.hosts import USER, Fleet, Host
from fleet.storage_world import (
    KEYS,
    ROOT,
    STORE,
    give_run,
    made_run,
    play,
    rate,
    storage_fleet,
    visit,
)

from . import say, seconds_of
from .slow_link import slow_link

MIB = 1024**2
FILES = {
    "dataset": [
        "terabyte_processed_test_v2_dense.bin",
        "terabyte_processed_test_v2_label_sparse.bin",
    ],
    "dump": ["dlrm-multihot-pytorch.pt"],
    "calibrate": ["dlrm_int8.pt"],
}


def contents(total: int) -> dict[str, dict[str, bytes]]:
    """Four files of equal size, with random content that does not compress."""
    one = total // 4
    return {
        stage: {name: os.urandom(MIB) * (one // MIB) for name in names}
        for stage, names in FILES.items()
    }


def give_large(fleet: Fleet, folder: Path, total: int) -> None:
    larger, outputs = contents(total), made_run.outputs
    with mock.patch.object(
        made_run, "outputs", lambda stage: {**outputs(stage), **larger.get(stage, {})}
    ):
        give_run(fleet.benchmark_hosts[0], folder)


def artifact_paths(host: Host) -> list[str]:
    names = [name for names in FILES.values() for name in names]
    found = host.shell(f"ls {ROOT}/stages/*/*/*").split()
    return [path for path in found if path.rsplit("/", 1)[1] in names]


def forget(fleet: Fleet) -> None:
    """Make the storage node forget the run, then put it into the spool again."""
    fleet.storage.shell(
        f"rm -rf {STORE}/store {STORE}/stages {STORE}/incoming/* {STORE}/runs {STORE}/artifacts"
        " /srv/by-scp; mkdir /srv/by-scp; sync"
    )
    play(fleet, "spool", dlrm_storage_timer=False)


def set_up(fleet: Fleet) -> None:
    """Install keys and program; from here on only this script starts visits."""
    play(fleet, "spool")
    units = ("dlrm-storage-visit.timer", "dlrm-storage-visit.service")
    fleet.storage.run("systemctl", "stop", *units)


def pull(fleet: Fleet) -> None:
    code, said = visit(fleet)
    assert code == 0 and "collected, passed" in said, said


def scp(fleet: Fleet, host: Host, paths: list[str]) -> None:
    """scp with the login key, over one connection; nothing is verified."""
    options = f"-q -i /root/login -o BatchMode=yes -o UserKnownHostsFile={KEYS}/known_hosts"
    wanted = " ".join(f"{USER}@{host.address}:{path}" for path in paths)
    fleet.storage.shell(f"scp {options} {wanted} /srv/by-scp/")


def lend_login(fleet: Fleet) -> None:
    docker("cp", str(fleet.keys / "login"), f"{fleet.storage.container}:/root/login")
    fleet.storage.run("chmod", "0600", "/root/login")


def compare(
    fleet: Fleet, host: Host, what: str, repeats: int, total: int, link_mbit: float | None = None
) -> None:
    """Pull and scp by turns; each ratio is of two neighbours. Shares of a link: of files' bytes."""
    lend_login(fleet)
    paths = artifact_paths(host)
    assert len(paths) == 4, paths
    ratios = []
    for repeat in range(repeats):
        forget(fleet)
        by_scp = seconds_of(lambda: scp(fleet, host, paths))
        fleet.storage.shell("rm -rf /srv/by-scp/*; sync")
        pulled = seconds_of(lambda: pull(fleet))
        ratios.append(pulled / by_scp)
        say(figure=what, repeat=repeat, pull_seconds=round(pulled, 2), scp_seconds=round(by_scp, 2),
            pull_mib_s=round(total / MIB / pulled), ratio=round(ratios[-1], 3))  # fmt: skip
        if link_mbit:
            pull_share, scp_share = (total * 8e-6 / t / link_mbit for t in (pulled, by_scp))
            say(figure=what, pull_share_of_link=round(pull_share, 3), scp_share=round(scp_share, 3))
    say(figure=what, median_ratio_of_times=round(statistics.median(ratios), 3))


def measure_pull(fleet: Fleet, folder: Path, total: int, repeats: int) -> None:
    [host] = fleet.benchmark_hosts
    give_large(fleet, folder, total)
    set_up(fleet)
    compare(fleet, host, "pull against scp, bridge", repeats, total)


def measure_equal(fleet: Fleet, folder: Path, total: int, repeats: int) -> None:
    """Another run promises the same files: nothing is transferred."""
    give_large(fleet, folder, total)
    set_up(fleet)
    forget(fleet)
    pull(fleet)
    for repeat in range(repeats):
        fleet.storage.shell(f"rm -rf {STORE}/runs {STORE}/artifacts")
        play(fleet, "spool", dlrm_storage_timer=False)
        began = time.monotonic()
        code, said = visit(fleet)
        seconds = time.monotonic() - began
        assert code == 0, said
        say(
            figure="equal files in the store",
            repeat=repeat,
            seconds=round(seconds, 2),
            said=said.strip(),
        )


def measure_cut(fleet: Fleet, folder: Path, total: int, repeats: int) -> None:
    """The connection ends when four fifths have arrived; how much is transferred twice."""
    [host] = fleet.benchmark_hosts
    give_large(fleet, folder, total)
    set_up(fleet)
    forget(fleet)
    before = sent(host)
    pull(fleet)
    # What SSH, TCP and IP add to each byte.
    overhead = (sent(host) - before) / total
    for repeat in range(repeats):
        forget(fleet)
        process = subprocess.Popen(
            ["docker", "exec", fleet.storage.container, "/usr/bin/python3", "-I",
             "/opt/dlrm-fleet/storage.pyz", "visit", STORE],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

        def arrived() -> int:
            found = fleet.storage.shell(
                f"du -cb {STORE}/incoming/*.partial {STORE}/store 2>/dev/null | tail -1 | cut -f1"
            )
            return int(found.strip() or 0)

        wait_until(lambda: arrived() > 0.8 * total, "four fifths have arrived", pause=0.1)
        host.shell("pkill -9 -x rsync; pkill -9 -f '[s]shd: bench'; true")
        said = process.communicate()[0]
        assert process.returncode != 0, said
        have = arrived()
        before = sent(host)
        pull(fleet)
        again = (sent(host) - before) / overhead - (total - have)
        say(figure="cut at 80 %", repeat=repeat, had_bytes=have, total_bytes=total,
            sent_again_mib=round(again / MIB, 1), files=4)  # fmt: skip


def sent(host: Host) -> int:
    """Bytes that the machine's network device has sent."""
    return int(host.shell("cat /sys/class/net/eth0/statistics/tx_bytes"))


def measure_restore(fleet: Fleet, folder: Path, total: int, repeats: int) -> None:
    """Four files to each of three hosts; the storage node's link is the bottleneck."""
    link_mbit = 1000
    give_large(fleet, folder, total)
    play(fleet, "fetch", test_hosts=fleet.benchmark_hosts[0].name)
    for repeat in range(repeats):
        for host in fleet.benchmark_hosts:
            host.shell(f"rm -rf {ROOT}; mkdir {ROOT}; chown {USER}: {ROOT}")
        rate(fleet.storage, f"{link_mbit}mbit")
        try:
            moved, seconds = watch_link(fleet.storage, lambda: play(fleet, "restore"))
        finally:
            rate(fleet.storage, None)
        # An int8 measurement needs three of the four: fp32 weights stay on the node.
        assert moved > len(fleet.benchmark_hosts) * total * 3 // 4, moved
        say(figure="restore to 3 hosts at once", repeat=repeat, link_mbit=link_mbit,
            bytes=moved, seconds=round(seconds, 2),
            share_of_link=round(moved * 8 / seconds / link_mbit / 1e6, 3))  # fmt: skip


def watch_link(node: Host, do: Callable[[], object]) -> tuple[int, float]:
    """(bytes, seconds from the first to the last of them) that a machine sends meanwhile."""
    samples: list[tuple[float, int]] = [(time.monotonic(), sent(node))]
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.25):
            samples.append((time.monotonic(), sent(node)))

    watching = threading.Thread(target=look)
    watching.start()
    try:
        do()
    finally:
        ended.set()
        watching.join()
    # Ansible itself sends less than a MiB in a quarter of a second.
    busy = [
        (before, after)
        for before, after in itertools.pairwise(samples)
        if after[1] - before[1] > MIB
    ]
    (began, first), (_, _) = busy[0]
    _, (finished, last) = busy[-1]
    return last - first, finished - began


def measure_slow(fleet: Fleet, folder: Path, total: int, repeats: int) -> None:
    """50 ms and a window that lets one stream have a part of the link only."""
    [host] = fleet.benchmark_hosts
    give_large(fleet, folder, total)
    set_up(fleet)
    with slow_link(host, fleet.storage, link_mbit=40, round_trip_ms=50, stream_share=0.33):
        compare(fleet, host, "pull against scp, 40 Mbit/s with 50 ms", repeats, total, 40)


FIGURES: dict[str, tuple[Callable[[Fleet, Path, int, int], None], int]] = {
    "pull": (measure_pull, 1),
    "equal": (measure_equal, 1),
    "cut": (measure_cut, 1),
    "restore": (measure_restore, 3),
    "slow": (measure_slow, 1),
}


def measure(figure: str, gib: float, repeats: int) -> None:
    """`gib`: of the four files together."""
    of_figure, hosts = FIGURES[figure]
    with (
        tempfile.TemporaryDirectory(prefix="dlrm-fleet-figures-") as folder,
        storage_fleet(Path(folder), hosts, f"figures-{figure}") as fleet,
    ):
        of_figure(fleet, Path(folder), int(gib * 1024) * MIB, repeats)
