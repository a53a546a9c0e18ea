"""Least-privilege policies from the calls the provider makes. Pure.

docs/clouds/aws-policy.json and docs/clouds/aws-scheduler-role.json hold them.
"""

from __future__ import annotations

from typing import Any

from ..model import PROJECT
from .provider import ACTIONS

# Calls on a resource that has our tag already.
_ON_TAGGED = ("ec2:DeleteVolume", "ec2:ReleaseAddress", "ec2:TerminateInstances")
# Allowed only on what RunInstances is making.
_ON_CREATION = ("ec2:CreateTags",)
_SCHEDULES = ("scheduler:CreateSchedule", "scheduler:DeleteSchedule")
_ROLE = "arn:aws:iam::*:role/dlrm-fleet-ttl"


def policy() -> dict[str, Any]:
    """For the controller's user or role."""
    special = (*_ON_TAGGED, *_ON_CREATION, *_SCHEDULES, "iam:PassRole")
    tagged = {"StringEquals": {"aws:ResourceTag/project": PROJECT}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow([action for action in ACTIONS if action not in special], "*"),
            _allow(list(_ON_TAGGED), "*", tagged),
            _allow(list(_ON_CREATION), "*", {"StringEquals": {"ec2:CreateAction": "RunInstances"}}),
            _allow(list(_SCHEDULES), "arn:aws:scheduler:*:*:schedule/default/dlrm-fleet-*"),
            _allow(
                ["iam:PassRole"],
                _ROLE,
                {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
            ),
        ],
    }


def scheduler_role() -> dict[str, Any]:
    """For the role EventBridge Scheduler assumes: it ends our machines and can do nothing else."""
    tagged = {"StringEquals": {"aws:ResourceTag/project": PROJECT}}
    return {
        "Version": "2012-10-17",
        "Statement": [_allow(["ec2:TerminateInstances"], "*", tagged)],
    }


def _allow(
    actions: list[str], resource: str, condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resource}
    if condition is not None:
        statement["Condition"] = condition
    return statement
