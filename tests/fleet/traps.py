"""Traps: an action on the container of one stage as soon as it starts."""

from __future__ import annotations

from .hosts import Host

UNIT = "dlrm-test-trap.service"


def trap(host: Host, stage: str, action: str) -> None:
    """Do `action` (pause, kill) to the stage's container as soon as it starts."""
    events = (
        "docker events --filter type=container --filter event=start"
        f" --filter label=dlrm-fleet.stage={stage} --format '{{{{.ID}}}}'"
    )
    script = (
        f"{events} | while read id; do docker {action} $id && echo $id >/run/trapped; break; done"
    )
    host.run("systemd-run", "--quiet", "--collect", "--unit", UNIT, "bash", "-c", script)


def trapped(host: Host) -> str:
    """The container's id, once the trap has acted."""
    return host.shell("cat /run/trapped 2>/dev/null", check=False).strip()


def stages_of(host: Host, root: str) -> str:
    """Each finished stage's folder and the time it was finished at."""
    return host.shell(f"cd {root}/stages && stat --format '%n %Y' */*/stage.json | sort")
