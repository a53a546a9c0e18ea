"""What every provider must do, for whichever cloud it translates."""

from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.cloud.acquire import acquire, survey
from ansible.module_utils.dlrm_fleet.cloud.errors import CloudError
from ansible.module_utils.dlrm_fleet.cloud.release import release
from ansible.module_utils.dlrm_fleet.cloud.retry import Pace

from .worlds import FLEET, TTL, World


def names(count: int) -> list[str]:
    return [f"{FLEET}-arm-{index}" for index in range(1, count + 1)]


def test_four_then_no_change_then_six_then_two(world: World, pace: Pace) -> None:
    provider = world.provider()
    first = acquire(provider, FLEET, world.machines(4), pace)
    assert first.created == names(4)
    assert world.server.alive() == names(4)
    assert all(item.private_address for item in first.machines)
    assert [item.zone for item in first.machines] == [world.zones[0]] * 4

    again = acquire(provider, FLEET, world.machines(4), pace)
    assert (again.created, again.removed) == ([], [])
    assert [item.id for item in again.machines] == [item.id for item in first.machines]

    more = acquire(provider, FLEET, world.machines(6), pace)
    assert more.created == names(6)[4:]
    fewer = acquire(provider, FLEET, world.machines(2), pace)
    assert sorted(fewer.removed) == names(6)[2:]
    assert world.server.alive() == names(2)


def test_teardown_leaves_nothing_and_may_be_repeated(world: World, pace: Pace) -> None:
    provider = world.provider()
    acquire(provider, FLEET, world.machines(2), pace)
    assert sorted(release(provider, FLEET, pace)) == names(2)
    assert world.server.bills() == []
    assert release(provider, FLEET, pace) == []


def test_teardown_with_one_machine_gone_already(world: World, pace: Pace) -> None:
    provider = world.provider()
    acquire(provider, FLEET, world.machines(3), pace)
    world.end_by_hand(names(3)[1])
    release(provider, FLEET, pace)
    assert world.server.bills() == []


def test_teardown_removes_disks_and_addresses(world: World, pace: Pace) -> None:
    labels = {"project": "dlrm-fleet", "fleet": FLEET, "machine": names(1)[0]}
    world.add_leftovers(labels)
    assert len(world.server.bills()) == 2
    release(world.provider(), FLEET, pace)
    assert world.server.bills() == []


def test_strangers_disks_and_addresses_stay(world: World, pace: Pace) -> None:
    world.add_leftovers({"project": "dlrm-fleet", "fleet": "another", "machine": "m"})
    release(world.provider(), FLEET, pace)
    assert len(world.server.bills()) == 2


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"project": "billing", "fleet": FLEET, "machine": "bench-arm-9"},
        {"project": "dlrm-fleet", "fleet": "bench2", "machine": "bench-arm-9"},
        # A machine without the label machine is not ours: a person labelled it.
        {"project": "dlrm-fleet", "fleet": FLEET},
    ],
    ids=["none", "project", "fleet", "no-machine"],
)
def test_a_strangers_machine_is_left_alone(
    world: World, pace: Pace, labels: dict[str, str]
) -> None:
    world.add_stranger("bench-arm-9", labels)
    provider = world.provider()
    acquire(provider, FLEET, world.machines(1), pace)
    with pytest.raises(FleetError, match="refused to remove bench-arm-9"):
        release(provider, FLEET, pace, ["bench-arm-9"])
    release(provider, FLEET, pace)
    assert world.server.alive() == ["bench-arm-9"]


def test_capacity_leads_to_the_next_zone(world: World, pace: Pace) -> None:
    world.server.faults.no_capacity(*world.zones[:2])
    made = acquire(world.provider(), FLEET, world.machines(2), pace)
    assert {item.zone for item in made.machines} == {world.zones[2]}
    assert world.server.alive() == names(2)


def test_no_capacity_anywhere_says_what_was_tried(world: World, pace: Pace) -> None:
    world.server.faults.no_capacity(*world.zones)
    with pytest.raises(CloudError) as raised:
        acquire(world.provider(), FLEET, world.machines(1), pace)
    assert raised.value.kind == "capacity"
    for zone in world.zones:
        assert f"{world.type} in {zone}" in str(raised.value)
    assert world.server.bills() == []


def test_capacity_that_came_back_is_used(world: World, pace: Pace) -> None:
    """Google remembers the failed request's id; the second command must not get its answer."""
    provider = world.provider()
    world.server.faults.no_capacity(*world.zones)
    with pytest.raises(CloudError):
        acquire(provider, FLEET, world.machines(1), pace)
    world.server.faults.clear()
    world.age_requests(600)
    made = acquire(provider, FLEET, world.machines(1), pace)
    assert [item.zone for item in made.machines] == [world.zones[0]]


def test_quota_names_which_asked_left_and_how_to_raise(world: World, pace: Pace) -> None:
    acquire(world.provider(), FLEET, world.machines(1), pace)
    made_two = [0]
    world.server.faults.rules.append(world.quota_after(2, made_two))
    with pytest.raises(CloudError) as raised:
        acquire(world.provider(), FLEET, world.machines(5), pace)
    said = str(raised.value)
    assert raised.value.kind == "quota"
    assert world.quota_name in said
    assert "asks for 32 vCPUs" in said
    assert "of 64" in said
    assert "Raise it" in said
    # The machines that this command made are gone again; the one from before stays.
    assert world.server.alive() == names(1)


def test_a_throttling_storm_is_waited_out(world: World, pace: Pace) -> None:
    world.server.faults.first(40, "throttling")
    acquire(
        world.provider(), FLEET, world.machines(4), pace.__class__(**{**vars(pace), "limit": 60})
    )
    assert world.server.alive() == names(4)


def test_endless_throttling_is_named(world: World, pace: Pace) -> None:
    world.server.faults.always("throttling")
    with pytest.raises(CloudError, match="limits the rate") as raised:
        acquire(world.provider(), FLEET, world.machines(1), pace)
    assert raised.value.kind == "throttling"


def test_expired_credentials(world: World, pace: Pace) -> None:
    world.server.faults.always("expired")
    with pytest.raises(CloudError, match="does not accept the credentials") as raised:
        acquire(world.provider(), FLEET, world.machines(2), pace)
    assert raised.value.kind == "credentials"
    # The product does not repeat the call, which would not help. Google's library asks twice.
    assert world.server.faults.calls["list"] <= 3


def test_a_denied_action_is_named_and_nothing_is_left(world: World, pace: Pace) -> None:
    world.server.faults.always("denied", "create")
    with pytest.raises(CloudError, match=world.create_action) as raised:
        acquire(world.provider(), FLEET, world.machines(2), pace)
    assert raised.value.kind == "permission"
    assert world.server.bills() == []


def test_an_unknown_type_is_a_bad_parameter(world: World, pace: Pace) -> None:
    with pytest.raises(CloudError, match="r8g.16xlrage") as raised:
        acquire(world.provider(), FLEET, world.machines(2, types=["r8g.16xlrage"]), pace)
    assert raised.value.kind == "bad parameter"
    assert world.server.faults.calls["create"] <= 2
    assert world.server.bills() == []


def test_lost_answers_make_no_twins(world: World, pace: Pace) -> None:
    world.server.faults.first(8, "server", "create", after=True)
    acquire(world.provider(), FLEET, world.machines(4), pace)
    assert world.server.alive() == names(4)


def test_a_machine_shown_late_is_not_made_again(world: World, pace: Pace) -> None:
    world.server.faults.hidden_listings = 3
    acquire(world.provider(), FLEET, world.machines(2), pace)
    assert world.server.alive() == names(2)


def test_slow_answers(world: World, pace: Pace) -> None:
    world.server.faults.latency = 0.2
    acquire(world.provider(), FLEET, world.machines(4), pace)
    release(world.provider(), FLEET, pace)
    assert world.server.bills() == []


def test_one_percent_of_500_calls_fail(world: World, pace: Pace) -> None:
    world.server.faults.random(seed=7, share=0.01)
    provider = world.provider()
    cycle = 0
    while sum(world.server.faults.calls.values()) < 500:
        cycle += 1
        acquire(provider, FLEET, world.machines(4 + cycle % 3), pace)
        assert world.server.alive() == sorted(names(4 + cycle % 3))
        if cycle % 3 == 0:
            release(provider, FLEET, pace)
    release(provider, FLEET, pace)
    assert world.server.bills() == []


def test_the_ttl_ends_everything_without_us(world: World, pace: Pace) -> None:
    made = acquire(world.provider(), FLEET, world.machines(3), pace)
    assert all(item.expires_at is not None for item in made.machines)
    world.server.pass_time(TTL - 600)
    assert world.server.alive() == names(3)
    world.server.pass_time(TTL + 120)
    assert world.server.bills() == []


def test_a_name_is_used_again(world: World, pace: Pace) -> None:
    provider = world.provider()
    seen = set()
    for _ in range(3):
        made = acquire(provider, FLEET, world.machines(1), pace)
        seen.add(made.machines[0].id)
        release(provider, FLEET, pace)
    assert len(seen) == 3


def test_a_fleet_of_another_type_is_not_replaced_silently(world: World, pace: Pace) -> None:
    provider = world.provider()
    acquire(provider, FLEET, world.machines(1), pace)
    with pytest.raises(FleetError, match="machines of another type"):
        survey(provider, FLEET, world.machines(1, types=["another"]), pace)


def test_without_credentials(world: World, pace: Pace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in world.environment():
        monkeypatch.delenv(name)
    for name, value in world.sign_out().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CloudError, match="does not accept the credentials") as raised:
        provider = world.new_provider()
        acquire(provider, FLEET, world.machines(1), pace)
    assert raised.value.kind == "credentials"
