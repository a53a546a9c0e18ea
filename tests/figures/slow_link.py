"""A link like one between two regions: a rate, a round trip, and windows too small to fill it.

The kernel here may lack netem: a process in the machine's network namespace holds each packet back
(NFQUEUE). Needs Debian's libnetfilter-queue-dev and PyPI's NetfilterQueue, no dependency of ours.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fleet.engine import docker
from fleet.hosts import Host
from fleet.storage_world import rate

# Packets stay in order: each is held equally long, so the first to come is the first to go.
DELAY = """
import collections, sys, threading, time
from netfilterqueue import NetfilterQueue
held, there, wait = collections.deque(), threading.Semaphore(0), float(sys.argv[1])
def come(packet):
    packet.retain()
    held.append((time.monotonic() + wait, packet))
    there.release()
def go():
    while True:
        there.acquire()
        due, packet = held.popleft()
        time.sleep(max(0, due - time.monotonic()))
        packet.accept()
threading.Thread(target=go, daemon=True).start()
queue = NetfilterQueue()
queue.bind(7, come, max_len=20000)
print("ready", flush=True)
queue.run()
"""


@contextmanager
def slow_link(
    host: Host, node: Host, link_mbit: int, round_trip_ms: int, stream_share: float
) -> Iterator[None]:
    """`host` sends slowly; the window of `node` limits each stream to its share.

    Packets are held back on arrival, because a sender stops while its own kernel holds them.
    """
    pid = docker("inspect", "--format", "{{.State.Pid}}", node.container).strip()
    window = int(link_mbit * 1e6 / 8 * round_trip_ms / 1000 * stream_share)
    rule = "INPUT -p tcp --sport 22 -j NFQUEUE --queue-num 7"
    wide = node.shell("sysctl -n net.ipv4.tcp_rmem").strip()
    delaying = subprocess.Popen(
        ["nsenter", "-t", pid, "-n", sys.executable, "-c", DELAY, str(round_trip_ms / 1000)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert delaying.stdout is not None
    try:
        assert delaying.stdout.readline() == "ready\n"
        # The kernel advertises half of the buffer (tcp_adv_win_scale = 1). One size from the start:
        # streams whose windows grow at different times would not share the link evenly.
        node.shell(f"sysctl -qw net.ipv4.tcp_rmem='4096 {2 * window} {2 * window}'")
        # BBR would mistake held-back packets for a slow link. Any network namespace may use reno.
        host.shell("sysctl -qw net.ipv4.tcp_congestion_control=reno")
        rate(host, f"{link_mbit}mbit")
        node.shell(f"iptables -I {rule}")
        yield
    finally:
        node.shell(f"iptables -D {rule} 2>/dev/null || true")
        delaying.kill()
        delaying.wait()
        rate(host, None)
        node.shell(f"sysctl -qw net.ipv4.tcp_rmem='{wide}'")
