"""Keeps the controller in plays that name it beside the machines, whatever --limit says."""

from __future__ import annotations

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: dlrm_controller
type: aggregate
short_description: Keep localhost in plays that name it beside other hosts
description:
  - C(--limit) chooses machines. It also removes localhost, and a play that loses all its hosts ends
    the playbook before results are judged and machines released. So when a play of the playbook
    names C(localhost) and others, localhost is added to the limit.
  - The limit stays as it is when no play of the playbook does so.
"""


def with_localhost(limit: list[str], reached: list[str]) -> list[str]:
    """The limit's patterns and localhost; `reached`: names of the hosts within the limit."""
    if any(pattern.startswith("&") for pattern in limit):
        # An intersection would remove localhost again.
        return [*reached, "localhost"]
    if all(pattern.startswith("!") for pattern in limit):
        return ["all", "localhost", *limit]
    return [*limit, "localhost"]


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "dlrm_controller"

    def v2_playbook_on_start(self, playbook):
        plays = playbook.get_plays()
        inventory = plays[0].get_variable_manager()._inventory if plays else None
        if not inventory or not inventory._subset or not any(map(names_both, plays)):
            return
        reached = [host.name for host in inventory.get_hosts("all")]
        limit = [pattern for pattern in inventory._subset if pattern]
        inventory.subset(with_localhost(limit, reached))


def names_both(play) -> bool:
    """Whether a play names localhost and others, as in hosts: machines:localhost."""
    patterns = ":".join(play.hosts if isinstance(play.hosts, list) else [str(play.hosts)])
    names = patterns.replace(",", ":").split(":")
    return "localhost" in names and len(names) > 1
