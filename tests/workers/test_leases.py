import pytest

from nash_tf.workers.leases import Leases, NameTaken, Worker


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def leases(clock):
    return Leases(10.0, lambda: clock[0])


ANN, ANNS_TWIN, PLAIN = Worker("ann", "here:1"), Worker("ann", "there:2"), Worker("bob")


@pytest.mark.parametrize("worker", [PLAIN, ANN, ANN._replace(trial="0004")])
def test_a_worker_survives_the_wire(worker):
    assert Worker.parse(str(worker)) == worker


def test_a_silent_worker_is_dead_after_the_timeout_and_no_sooner(leases, clock):
    leases.heard(ANN)
    clock[0] = 10.0
    assert leases.dead(["ann"]) == [] and leases.alive() == ["ann"]
    clock[0] = 10.1
    assert leases.dead(["ann"]) == ["ann"] and leases.alive() == []
    leases.heard(ANN)
    assert leases.dead(["ann"]) == []


def test_a_tuner_without_heartbeats_never_dies(leases, clock):
    leases.heard(PLAIN)
    clock[0] = 1e9
    assert leases.dead(["bob"]) == []


def test_a_name_is_one_session_s_until_that_is_dead(leases, clock):
    leases.heard(ANN)
    clock[0] = 4.0
    with pytest.raises(NameTaken, match=r"'ann' is in use by here:1, heard 4.0 s ago"):
        leases.heard(ANNS_TWIN)
    clock[0] = 10.1
    leases.heard(ANNS_TWIN)
    with pytest.raises(NameTaken, match="there:2"):
        leases.heard(ANN)


def test_a_worker_that_left_is_forgotten(leases):
    leases.heard(ANN)
    leases.forget("ann")
    leases.heard(ANNS_TWIN)
    assert leases.alive() == ["ann"]
