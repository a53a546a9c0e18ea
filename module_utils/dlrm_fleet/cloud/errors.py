"""The kinds of a cloud's refusals. The kind decides what happens next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..base.errors import FleetError

CREDENTIALS = "credentials"
PERMISSION = "permission"
QUOTA = "quota"
CAPACITY = "capacity"
BAD_PARAMETER = "bad parameter"
THROTTLING = "throttling"
SERVER = "server"
NOT_FOUND = "not found"
# An earlier request with this token failed, or the machine it made has ended.
STALE = "stale"
# The name or the client token belongs to an earlier request with other parameters.
EXISTS = "exists"
UNKNOWN = "unknown"

# Asking again with the same token may help: nobody knows whether the first request took effect.
TRANSIENT = (THROTTLING, SERVER)


class CloudError(FleetError):
    """One refusal. `action`: the cloud's name of the call, as policies write it."""

    def __init__(
        self, kind: str, what: str, why: str = "", todo: str = "", action: str = ""
    ) -> None:
        self.kind = kind
        self.action = action
        super().__init__(what, why, todo)

    @property
    def transient(self) -> bool:
        return self.kind in TRANSIENT


TODO = {
    CREDENTIALS: "Sign in again, or check the variables and files the SDK reads, then repeat",
    PERMISSION: "Allow the account this action; docs/clouds.md has the least-privilege policy",
    BAD_PARAMETER: "Correct the machine's description in dlrm_instances_fleet_*",
    THROTTLING: "The cloud still limits the rate after all retries; repeat later",
    SERVER: "The cloud gave no proper answer to any retry; repeat the command, which adopts what"
    " was made",
}


def guarded(
    translate: Callable[[Exception, str], CloudError], action: str, function: Callable[[], Any]
) -> Any:
    """What `function` returns; whatever a cloud's library raises becomes a CloudError."""
    try:
        return function()
    except CloudError:
        raise
    except Exception as error:
        raise translate(error, action) from error


def refusal(
    kind: str, cloud: str, action: str, message: str, todo: str = "", code: str = ""
) -> CloudError:
    """A refusal in words that all providers share: kind, call, and the cloud's own message."""
    head = {
        CREDENTIALS: f"{cloud} does not accept the credentials for {action}",
        PERMISSION: f"{cloud} denied the action {action}",
        QUOTA: f"a quota of {cloud} is used up",
        CAPACITY: f"{cloud} has no capacity",
        BAD_PARAMETER: f"{cloud} refused a parameter of {action}",
        THROTTLING: f"{cloud} limits the rate of {action}",
        SERVER: f"{cloud} failed at {action}",
    }.get(kind, f"{cloud} refused {action}")
    why = f"{code}: {message}" if code else message
    return CloudError(kind, head, why, todo or TODO.get(kind, ""), action)
