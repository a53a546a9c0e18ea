"""Least-privilege policies from the calls the providers make. Pure.

docs/clouds/{aws-policy,aws-scheduler-role,gcp-role}.json are these.
"""

from __future__ import annotations

from typing import Any

from .aws.provider import ACTIONS
from .gcp.provider import PERMISSIONS
from .model import PROJECT

# Calls on one resource that carries our tag already.
_ON_TAGGED = ("ec2:DeleteVolume", "ec2:ReleaseAddress", "ec2:TerminateInstances")
# Only while a machine is made: tags on what RunInstances makes.
_ON_CREATION = ("ec2:CreateTags",)
_SCHEDULES = ("scheduler:CreateSchedule", "scheduler:DeleteSchedule")
_ROLE = "arn:aws:iam::*:role/dlrm-fleet-ttl"


def aws_policy() -> dict[str, Any]:
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


def aws_scheduler_role() -> dict[str, Any]:
    """For the role EventBridge Scheduler assumes: it ends our machines and can do nothing else."""
    tagged = {"StringEquals": {"aws:ResourceTag/project": PROJECT}}
    return {
        "Version": "2012-10-17",
        "Statement": [_allow(["ec2:TerminateInstances"], "*", tagged)],
    }


def gcp_role() -> dict[str, Any]:
    """A custom role of the project (gcloud iam roles create --file)."""
    return {
        "title": "dlrm-fleet",
        "description": "What dlrm-fleet's controller asks of Compute Engine",
        "stage": "GA",
        "includedPermissions": list(PERMISSIONS),
    }


def _allow(
    actions: list[str], resource: str, condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resource}
    if condition is not None:
        statement["Condition"] = condition
    return statement
