"""The phases of a run. A condition shows that a phase has begun; then the run is held there."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.engine import wait_until

from .bench import ROOT, Bench

STAGES = ("weights", "dataset", "dump", "calibrate", "accuracy", "performance")
TRAP = "/run/dlrm-fault-trap"
UNIT = "dlrm-fault-trap.service"
# Slow enough that a fetch lasts, fast enough for Ansible's own traffic.
SLOW_LINK = "tc qdisc replace dev eth0 root tbf rate 24mbit burst 64k latency 400ms"
FETCHED_BYTES = 2 << 20


def ended_early(bench: Bench, phase: str) -> None:
    process = bench.process
    assert process is not None
    if process.poll() is not None:
        said = bench.output(process)[-4000:]
        raise AssertionError(f"ended ({process.returncode}) before {phase}:\n{said}")


@dataclass(frozen=True)
class Phase:
    """A stage: its container is paused as soon as it starts."""

    name: str

    @property
    def is_stage(self) -> bool:
        return self.name in STAGES

    def arm(self, bench: Bench) -> None:
        """Ensure the phase is done anew, and set a trap at its beginning."""
        # The container engine's events, so that a short container is not missed.
        listen = (
            "docker events --filter type=container --filter event=start"
            f" --filter label=dlrm-fleet.stage={self.name} --format '{{{{.ID}}}}'"
        )
        bench.host.shell(f"rm -rf {TRAP}; rm -rf {ROOT}/stages/{self.name}/*")
        self.disarm(bench)
        script = f"{listen} | while read id; do docker pause $id && echo $id >{TRAP}; break; done"
        run = ("systemd-run", "--quiet", "--collect", "--unit", UNIT)
        bench.host.run(*run, "bash", "-c", script)

    def disarm(self, bench: Bench) -> None:
        """Remove the trap: if it did not act, it would hold a later run."""
        bench.host.run("systemctl", "stop", UNIT, check=False)

    def reach(self, bench: Bench) -> str:
        """The paused container's id."""

        def trapped() -> str:
            ended_early(bench, self.name)
            return bench.host.await_shell(f"[ -s {TRAP} ] && cat {TRAP}")

        return wait_until(trapped, f"{self.name} runs")

    def release(self, bench: Bench, container: str) -> None:
        bench.host.engine("unpause", container, check=False)


class Fetch(Phase):
    """The storage node fetches over a slow link; a part has arrived."""

    def arm(self, bench: Bench) -> None:
        bench.fleet.storage.shell(f"rm -rf {bench.storage_root}")
        bench.host.shell(SLOW_LINK)

    def reach(self, bench: Bench) -> str:
        def arrived() -> bool:
            ended_early(bench, self.name)
            # Bytes on the disk: a file may have its whole length before any byte arrives.
            size = f"du -s --block-size=1 {bench.storage_root} 2>/dev/null | cut -f1"
            script = f"[ 0$({size}) -gt {FETCHED_BYTES} ] && echo arrived"
            return bool(bench.fleet.storage.await_shell(script))

        wait_until(arrived, "a part has arrived at the storage node")
        return ""

    def release(self, bench: Bench, container: str) -> None:
        bench.host.shell("tc qdisc del dev eth0 root", check=False)


class Record(Phase):
    """Everything was fetched; the controller is held before the record is written."""

    def arm(self, bench: Bench) -> None:
        (bench.gate / "hold").touch()

    def reach(self, bench: Bench) -> str:
        def reached() -> bool:
            ended_early(bench, self.name)
            return (bench.gate / "reached").exists()

        wait_until(reached, "the record is about to be written")
        return ""

    def release(self, bench: Bench, container: str) -> None:
        (bench.gate / "hold").unlink(missing_ok=True)


PHASES = {
    phase.name: phase
    for phase in [*(Phase(name) for name in STAGES), Fetch("fetch"), Record("record")]
}
