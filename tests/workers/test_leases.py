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


def test_the_silence_of_a_chief_that_was_stopped_is_not_that_of_its_workers(leases, clock):
    leases.heard(ANN)
    clock[0] = 100.0
    leases.look()  # it begins to serve: until then nobody could be heard
    assert leases.alive() == ["ann"]
    for _ in range(3):
        clock[0] += 13.0  # it is stopped; the first that it does may be to hear somebody
        assert leases.dead(["ann"]) == []
        with pytest.raises(NameTaken, match="heard 2.0 s ago"):
            leases.heard(ANNS_TWIN)
        leases.look()
        assert leases.dead(["ann"]) == []
        leases.heard(ANN)
    for second in range(12):
        assert (leases.dead(["ann"]) == ["ann"]) == (second > 10)
        clock[0] += 1.0
        leases.look()
    leases.heard(ANN)
    leases.stop_looking()
    clock[0] += 11.0
    assert leases.dead(["ann"]) == ["ann"]
