"""What happens before anything is measured: plan, refusals, a host key of another machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet.hosts import STORAGE, USER

from .ssh_operator import NAME, Operator, operating
from .stand_in.faults import CREATE


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folders = (tmp_path_factory.mktemp(name) for name in ("cloud", "full"))
    with operating(*folders, "cloud", prepared=False) as made:
        yield made


def test_the_plan_alone_asks_for_nothing(operator: Operator) -> None:
    code, said = operator.run("--check")
    assert code == 0, said
    assert f"+ {NAME}" in said
    assert "list prices as of" in said
    assert operator.world.server.faults.calls[CREATE] == 0


def test_a_storage_node_that_would_go_is_refused(operator: Operator) -> None:
    fleet = {"arm": operator.world.group(1, ssh_user=USER, role="benchmark-storage")}
    code, said = operator.run(dlrm_instances_fleet_aws=fleet)
    assert code != 0
    assert f"The storage node {NAME} would be released with the benchmark hosts" in said
    assert operator.world.server.faults.calls[CREATE] == 0


def test_another_host_key_is_refused_and_the_machine_released(operator: Operator) -> None:
    """Another machine answers at the address: it lacks the key that the cloud shows."""
    server = operator.world.server
    server.application.console[NAME] = operator.key(STORAGE)
    code, said = operator.run(dlrm_connection_timeout_seconds=5)
    assert code != 0
    assert "unreachable" in said, said
    assert "Host key verification failed" in said or "HOST IDENTIFICATION HAS CHANGED" in said, said
    assert f"{NAME} is released: no run was opened on it" in said
    assert server.faults.calls[CREATE] == 1
    assert server.bills() == []
