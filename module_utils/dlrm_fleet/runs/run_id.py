"""The id of a run: when it was made (UTC), and six random hexadecimal digits."""

from __future__ import annotations

import re
import secrets

from ..base.times import utc_now

RUN_ID = re.compile(r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$")


def new_run_id() -> str:
    return f"{utc_now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
