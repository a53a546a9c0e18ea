"""How long a machine may live, and who ends it. Pure."""

from __future__ import annotations

import json

from ..base.errors import FleetError
from ..base.wording import span

MARGIN_SECONDS = 1800
# The longest TTL that the clouds' own timers take: GCE's maxRunDuration is at most 120 days.
MAX_SECONDS = 120 * 86400


def check(ttl_seconds: int, deadline_seconds: int, transfer_seconds: int) -> None:
    """Raises FleetError unless deadline + transfer + 30 min <= TTL <= MAX_SECONDS."""
    least = deadline_seconds + transfer_seconds + MARGIN_SECONDS
    if ttl_seconds < least:
        raise FleetError(
            f"the TTL of {span(ttl_seconds)} is too short",
            f"it must cover the run's deadline ({span(deadline_seconds)}), the transfer of results"
            f" ({span(transfer_seconds)}) and 30 min to spare, together {span(least)}",
            f"Set dlrm_instances_ttl_seconds to {least} or more, or give a shorter -e deadline",
        )
    if ttl_seconds > MAX_SECONDS:
        raise FleetError(
            f"the TTL of {span(ttl_seconds)} is too long",
            f"the clouds' own timers allow at most {span(MAX_SECONDS)}",
            f"Set dlrm_instances_ttl_seconds to {MAX_SECONDS} or less",
        )


def user_data(ttl_seconds: int, ssh_public_key: str) -> str:
    """cloud-config: the login key, and a timer that powers the machine off, also after a reboot.

    Holds no absolute time, because a repeated request must be the same request.
    """
    service = "[Unit]\nDescription=End of this machine's life\n[Service]\nType=oneshot\n"
    service += "ExecStart=/usr/bin/systemctl poweroff\n"
    arm = (
        "set -e\n"
        f'at=$(date -u -d "+{ttl_seconds} seconds" "+%Y-%m-%d %H:%M:%S UTC")\n'
        "printf '[Timer]\\nOnCalendar=%s\\nPersistent=true\\n[Install]\\nWantedBy=timers.target\\n'"
        ' "$at" >/etc/systemd/system/dlrm-ttl.timer\n'
        "systemctl daemon-reload\nsystemctl enable --now dlrm-ttl.timer\n"
    )
    config = {
        "ssh_authorized_keys": [ssh_public_key],
        "write_files": [
            {"path": "/etc/systemd/system/dlrm-ttl.service", "content": service},
            {
                "path": "/usr/local/sbin/dlrm-ttl",
                "permissions": "0755",
                "content": "#!/bin/sh\n" + arm,
            },
        ],
        "runcmd": [["/usr/local/sbin/dlrm-ttl"]],
    }
    # JSON is YAML.
    return "#cloud-config\n" + json.dumps(config, sort_keys=True) + "\n"
