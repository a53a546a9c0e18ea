"""The faults. Each is injected, shown to have happened, and lifted if it ends in reality too."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from fleet.engine import PATIENCE_SECONDS, command, docker, wait_until

from .bench import ROOT, Bench
from .phases import Phase


@dataclass(frozen=True)
class Fault:
    """`words`: if the run fails, the user reads at least one word of each group."""

    name: str
    words: tuple[tuple[str, ...], ...] = ()
    phases: tuple[str, ...] = ()
    # True: the run must end. False: it must not. None: both are right.
    ends_run: bool | None = None

    def prepare(self, bench: Bench) -> None:
        """Before the run is started."""

    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        """Make the fault happen, show that it did, release the phase."""
        raise NotImplementedError

    def lift(self, bench: Bench) -> None:
        """After the run has ended, before the same command is given again."""

    def tidy(self, bench: Bench) -> None:
        """Clean up, also after a failed test."""


class ControllerSignal(Fault):
    """To every process of the controller, as closing a terminal or Ctrl-C does."""

    @property
    def number(self) -> signal.Signals:
        return signal.Signals[self.name.rsplit(" ", 1)[1]]

    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        assert bench.process is not None
        os.killpg(bench.process.pid, self.number)
        ended = bench.wait(bench.patience)
        assert ended.code != 0
        if self.number == signal.SIGKILL:
            assert ended.code == -signal.SIGKILL
        if container:
            form = "{{.State.Status}}"
            assert bench.host.engine("inspect", "--format", form, container).strip() == "paused"
        phase.release(bench, container)


class StageKilled(Fault):
    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        first = bench.host.engine("inspect", "--format", "{{.State.Pid}}", container).strip()
        bench.host.run("kill", "-KILL", first)
        phase.release(bench, container)
        gone = f"! kill -0 {first} 2>/dev/null && echo gone"
        wait_until(lambda: bench.host.await_shell(gone), "the container died")


class EngineSignal(Fault):
    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        before = bench.host.run("pidof", "dockerd").strip()
        if container and self.name.endswith("TERM"):
            phase.release(bench, container)
        bench.host.run("kill", f"-{self.name.rsplit(' ', 1)[1]}", before)

        def another() -> bool:
            # After TERM, docker.socket starts the daemon at the next request, so send one first.
            answers = bench.host.is_up()
            now = bench.host.run("pidof", "dockerd", check=False).strip()
            return answers and bool(now) and now != before

        wait_until(another, "another engine answers", pause=0.5)
        phase.release(bench, container)


class Reboot(Fault):
    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        before = bench.host.boot_id()
        bench.fleet.restart(bench.host)
        assert bench.host.boot_id() != before
        phase.release(bench, container)


@dataclass(frozen=True)
class NetworkCut(Fault):
    """Every packet from and to the host dropped for `seconds`; 0: until the run has ended."""

    seconds: int = 0

    def prepare(self, bench: Bench) -> None:
        if not self.seconds:
            bench.variables["deadline"] = bench.short_deadline

    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        bench.host.shell(
            "iptables -I INPUT 1 -i eth0 -j DROP && iptables -I OUTPUT 1 -o eth0 -j DROP"
        )
        started = time.monotonic()
        phase.release(bench, container)
        dropped = "iptables -nvxL INPUT 1 | awk '{print $1}' | grep -vx 0"
        wait_until(lambda: bench.host.await_shell(dropped), "a packet was dropped")
        if self.seconds:
            time.sleep(max(0.0, self.seconds - (time.monotonic() - started)))
            self.lift(bench)

    def lift(self, bench: Bench) -> None:
        bench.host.shell(
            "iptables -D INPUT -i eth0 -j DROP; iptables -D OUTPUT -o eth0 -j DROP", check=False
        )

    tidy = lift


class HungMaster(Fault):
    """The host's ControlPersist master runs but does not answer."""

    def prepare(self, bench: Bench) -> None:
        bench.variables["deadline"] = bench.short_deadline

    def masters(self, bench: Bench) -> list[int]:
        return [pid for pid in _processes() if f"ssh: {bench.sockets}/" in _cmdline(pid)]

    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        masters = self.masters(bench)
        assert masters, "there is no master to hang"
        for pid in masters:
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: all(_state(pid) == "T" for pid in masters), "the masters stopped")
        phase.release(bench, container)

    def lift(self, bench: Bench) -> None:
        for pid in self.masters(bench):
            os.kill(pid, signal.SIGCONT)

    tidy = lift


class DiskFull(Fault):
    """The root folder lies on a small file system, which is full."""

    def place(self, bench: Bench) -> tuple[str, str]:
        """(container, folder)"""
        if "storage" in self.name:
            return bench.fleet.storage.container, bench.storage_root
        return bench.host.container, ROOT

    def prepare(self, bench: Bench) -> None:
        container, folder = self.place(bench)
        script = (
            f"mkdir -p {folder} && cp -a {folder} {folder}.copy && mount -t tmpfs -o"
            f" size=14g,mode=755 fault {folder} && cp -a {folder}.copy/. {folder}"
            f" && rm -rf {folder}.copy"
        )
        docker("exec", container, "sh", "-c", script)

    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        where, folder = self.place(bench)
        # A tmpfs of size 0 has no limit, and one cannot become smaller than what lies on it.
        shrink = (
            f"used=$(df --output=used -k {folder} | tail -1); [ $used -gt 0 ] &&"
            f" mount -o remount,size=${{used}}k {folder} 2>/dev/null && echo full"
        )
        wait_until(
            lambda: docker("exec", where, "sh", "-c", shrink, check=False),
            "the small file system holds something and is as small as that",
        )
        probe = f"head -c 262144 /dev/zero >{folder}/probe; rm -f {folder}/probe"
        said = docker("exec", where, "sh", "-c", f"({probe}) 2>&1")
        assert "No space left on device" in said, f"the disk is not full: {said}"
        phase.release(bench, container)

    def lift(self, bench: Bench) -> None:
        container, folder = self.place(bench)
        docker("exec", container, "mount", "-o", "remount,size=14g", folder, check=False)

    def tidy(self, bench: Bench) -> None:
        """Move what was made meanwhile to the ordinary disk."""
        container, folder = self.place(bench)
        script = (
            f"mountpoint -q {folder} || exit 0; rm -rf {folder}.copy; cp -a {folder} {folder}.copy;"
            f" umount -l {folder}; rm -rf {folder}; mv {folder}.copy {folder}"
        )
        docker("exec", container, "sh", "-c", script)


class OutOfMemory(Fault):
    """Less than the stage needs (docs/memory.md), enough to import PyTorch where that allows it.

    With less, the kernel evicts and reads the libraries again for minutes before it kills.
    """

    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        limit = {"dump": "150m", "dataset": "220m"}.get(phase.name, "280m")
        bench.host.engine("update", "--memory", limit, "--memory-swap", limit, container)
        phase.release(bench, container)
        end = f"cat {ROOT}/stages/{phase.name}/*/attempts/*/exit.json 2>/dev/null"
        ended = wait_until(lambda: bench.host.await_shell(end), "the stage ended")
        assert '"oom_killed": true' in ended


class ClockJump(Fault):
    """The controller's clock jumps by a day; the host's clock does not."""

    def prepare(self, bench: Bench) -> None:
        library, offset = bench.folder / "clock.so", bench.folder / "clock"
        source = Path(__file__).with_name("clock.c")
        command("g++", "-x", "c", "-O2", "-shared", "-fPIC", str(source), "-o", str(library))
        offset.write_text("0\n")
        bench.environment.update(LD_PRELOAD=str(library), DLRM_FAULT_CLOCK=str(offset))

    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        assert bench.process is not None
        maps = Path(f"/proc/{bench.process.pid}/maps").read_text()
        assert "clock.so" in maps, "the controller's clock is not ours"
        days = int(self.name.split()[1].removesuffix("d"))
        (bench.folder / "clock").write_text(f"{days * 86400}\n")
        seen = subprocess.run(
            ["date", "+%s"],
            env={**os.environ, **bench.environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert abs(int(seen) - time.time() - days * 86400) < PATIENCE_SECONDS
        phase.release(bench, container)

    def lift(self, bench: Bench) -> None:
        bench.environment.clear()


class SecondController(Fault):
    """The same command is given while the first runs: it is refused, and the first continues."""

    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        first = bench.process
        second = bench.run(run_wait="0s")
        assert second.code != 0
        for word in ("is busy", "held by", "since", "lease until", "Stop that run, or wait"):
            assert word in second.flat, f"the refusal does not say '{word}':\n{second.output}"
        assert first is not None and first.poll() is None
        bench.process = first
        phase.release(bench, container)


class Deadline(Fault):
    """The stage lasts beyond the run's deadline."""

    def prepare(self, bench: Bench) -> None:
        bench.variables["deadline"] = bench.short_deadline

    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        script = f"cat $(ls -d {ROOT}/runs/*/ | sort | tail -1)run.lock"
        lock = bench.host.shell(script)
        deadline = lock.split('"deadline": "')[1].split('"')[0]
        passed = f'[[ "$(date -u +%Y-%m-%dT%H:%M:%SZ)" > "{deadline}" ]] && echo passed'
        wait_until(lambda: bench.host.await_shell(passed), "the deadline passed")
        phase.release(bench, container)

    def lift(self, bench: Bench) -> None:
        del bench.variables["deadline"]


class ImageRemoved(Fault):
    """The image's name is removed; the user loads the image before he repeats the command."""

    def prepare(self, bench: Bench) -> None:
        script = "docker image ls --format '{{.Repository}}:{{.Tag}}' dlrm-bench"
        bench.notes.append("image " + bench.host.shell(script).split()[0])

    def image(self, bench: Bench) -> str:
        return bench.notes[0].removeprefix("image ")

    def inject(self, bench: Bench, phase: Phase, container: str) -> None:
        bench.host.engine("tag", self.image(bench), "kept:fault")
        bench.host.engine("image", "rm", "--force", self.image(bench))
        assert bench.host.engine("image", "ls", "--quiet", self.image(bench)).strip() == ""
        phase.release(bench, container)

    def lift(self, bench: Bench) -> None:
        bench.host.engine("tag", "kept:fault", self.image(bench), check=False)

    tidy = lift


@dataclass(frozen=True)
class OutputDamaged(Fault):
    """Before the run, the largest output of a finished stage is damaged."""

    script: str = ""

    def prepare(self, bench: Bench) -> None:
        bench.variables["verify"] = True


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _state(pid: int) -> str:
    """One letter, proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def _cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


WITH_CONTAINER = ("weights", "dataset", "dump", "calibrate", "accuracy", "performance")
AGAIN = ("Run again", "same command")
PROMISED = (("promises sha256",), ("verify=true",))
FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in [
        ControllerSignal("controller SIGKILL"),
        ControllerSignal("controller SIGINT"),
        ControllerSignal("controller SIGHUP"),
        StageKilled("stage SIGKILL", (("signal 9",), AGAIN), WITH_CONTAINER, True),
        EngineSignal("engine TERM", (("stage", "engine"), AGAIN)),
        EngineSignal("engine KILL", (("stage", "engine"), AGAIN)),
        Reboot("host rebooted", (("container", "onnect"), AGAIN)),
        NetworkCut("network cut 5 s", (("onnect",),), seconds=5),
        NetworkCut("network cut 60 s", (("onnect",),), seconds=60),
        NetworkCut("network cut for good", (("onnect",),), seconds=0, ends_run=True),
        HungMaster("SSH master hung", (("onnect", "timed out", "Timed out"),)),
        DiskFull(
            "host disk full", (("disk is full", "No space left"), ("Free",)), WITH_CONTAINER, True
        ),
        DiskFull("storage disk full", (("disk", "no space left"), ("Free",)), ends_run=True),
        OutOfMemory("out of memory", (("ran out of memory",), ("memory",)), WITH_CONTAINER, True),
        ClockJump("clock +1d", (("deadline",),)),
        ClockJump("clock -1d", (("deadline",),)),
        SecondController("second controller", ends_run=False),
        Deadline("deadline reached", (("deadline",), ("-e deadline=",)), WITH_CONTAINER, True),
        ImageRemoved("image removed", (("image",), ("dlrm_image", "Run again"))),
        OutputDamaged("output truncated", PROMISED, WITH_CONTAINER, False, "truncate -s -1 $f"),
        OutputDamaged(
            "output flipped",
            PROMISED,
            WITH_CONTAINER,
            False,
            'python3 -c \'import sys; f = open(sys.argv[1], "r+b"); b = f.read(1); f.seek(0);'
            " f.write(bytes([b[0] ^ 1]))' $f",
        ),
        OutputDamaged(
            "output replaced",
            PROMISED,
            WITH_CONTAINER,
            False,
            "s=$(stat -c %s $f); rm $f; head -c $s /dev/urandom >$f",
        ),
    ]
}
