"""An outage of a network gateway is told once, not once for each device behind it."""

from datetime import timedelta

import pytest

from store import journal, outbox, routers
from store.device_catalog import NewDevice, add_devices
from tests.jobs.test_silence import MINUTE, World

ROOF, HILL = "fcc23dfffe2e72ed", "b827ebfffe9f2da9"


@pytest.fixture
def world(owner, jobs_database, quiet_town):
    made = Town(owner, jobs_database, quiet_town)
    new = [NewDevice(f"s{n}", "flood_level", "冠水", "Flood", 60, site="honcho") for n in range(4)]
    with owner.transaction() as conn:
        add_devices(conn, quiet_town.tenant_id, new)
    for n in range(4):
        made.heard(f"s{n}", timedelta(0))
    return made


class Town(World):
    """Four street sensors at a minute's interval; they are silent after six and a half."""

    def hear(self, router, *codes, ago=timedelta(0)):
        """A router passed on messages of devices."""
        with self.owner.transaction() as conn:
            rows = conn.execute(
                "select device_id, tenant_id, (extract(epoch from now() - %s) * 1000)::bigint"
                " from device where code = any (%s)",
                (ago, list(codes)),
            ).fetchall()
            routers.heard(conn, [routers.Heard(d, t, router, ms) for d, t, ms in rows])

    def entries(self):
        with self.owner.transaction() as conn:
            return [e.body for e in journal.entries(conn, self.town.tenant_id)]

    def topics(self):
        """What the retained topics say, newest last, as (device, message)."""
        with self.owner.transaction() as conn:
            waiting = outbox.unsent(conn, self.town.tenant_id)
        return [(m.topic.rpartition("/l/")[2], m.payload) for m in waiting if "/l/" in m.topic]

    def states(self):
        return [self.state(f"s{n}") for n in range(4)]


SILENT = ("silent", "router_outage")


def test_all_devices_of_a_router_fall_silent_and_one_line_is_told(world):
    world.hear(ROOF, "s0", "s1", "s2")
    world.hear(HILL, "s3")
    for n in range(3):
        world.heard(f"s{n}", (7 + n / 2) * MINUTE)
    assert world.watch.look() == {"silent": 3, "unknown": 0}
    assert world.watch.look() == {}
    assert world.states()[:3] == [SILENT] * 3
    assert world.states()[3][0] == "online"
    [told] = world.entries()
    assert told["event"] == "router_outage"
    assert told["router"] == ROOF
    assert told["devices"] == ["s0", "s1", "s2"]


def test_the_first_to_be_late_is_not_accused_before_its_neighbours_are_due(world):
    world.hear(ROOF, "s0", "s1")
    world.heard("s0", 7 * MINUTE)
    world.heard("s1", 6 * MINUTE)
    assert world.watch.look() == {}
    assert world.entries() == []
    world.heard("s0", 8 * MINUTE)
    world.heard("s1", 7 * MINUTE)
    world.watch.look()
    assert [e["event"] for e in world.entries()] == ["router_outage"]


def test_a_device_whose_neighbour_is_heard_is_silent_by_itself(world):
    world.hear(ROOF, "s0", "s1", "s2")
    world.heard("s0", 7 * MINUTE)
    world.heard("s1", 3 * MINUTE)
    world.watch.look()
    assert world.states()[0] == ("silent", "silence")
    assert [e["event"] for e in world.entries()] == ["silent"]
    # Its battery is flat. The router's outage afterwards is that of the others.
    world.heard("s0", 600 * MINUTE, state="silent")
    world.heard("s1", 8 * MINUTE)
    world.heard("s2", 8 * MINUTE)
    world.watch.look()
    assert world.entries()[-1]["devices"] == ["s1", "s2"]
    assert world.states()[0] == ("silent", "silence")


def test_a_device_that_a_second_router_hears_is_silent_only_with_both(world):
    world.hear(ROOF, "s0", "s1", "s2")
    world.hear(HILL, "s2", "s3")
    for n in range(3):
        world.heard(f"s{n}", 8 * MINUTE)
    world.watch.look()
    assert world.states()[:2] == [SILENT] * 2
    assert world.states()[2] == ("silent", "silence")  # the hill hears, and did not hear it
    world.heard("s2", 30 * 24 * 60 * MINUTE)  # what was true weeks before it fell silent counts
    world.hear(ROOF, "s3", ago=10 * 24 * 60 * MINUTE)  # ... and what was long before not any more
    with world.jobs.transaction() as conn:
        found = routers.of_devices(conn)
    assert sorted(map(sorted, found.values())) == [[HILL], [HILL, ROOF], [ROOF], [ROOF]]


def test_a_router_that_is_back_clears_its_devices_or_they_are_told_one_by_one(world):
    world.hear(ROOF, "s0", "s1", "s2")
    for n in range(3):
        world.heard(f"s{n}", 8 * MINUTE)
    world.watch.look()
    world.heard("s0", timedelta(0))  # as the gateway writes it
    world.watch.look()
    world.watch.look()
    assert [e["event"] for e in world.entries()] == ["router_outage", "router_back"]
    assert world.states()[1] == SILENT  # they have their time again
    with world.owner.transaction() as conn:
        conn.execute("update router_outage set over_at = over_at - interval '7 minutes'")
    world.watch.look()
    world.watch.look()
    assert world.entries()[2:] == [{"event": "silent", "devices": ["s1", "s2"]}]
    assert world.states()[1] == ("silent", "silence")
    # And out again: a second outage, told once.
    for n in range(3):
        world.heard(f"s{n}", 9 * MINUTE)
    world.watch.look()
    world.watch.look()
    assert [e["event"] for e in world.entries()[3:]] == ["router_outage"]


def test_an_outage_of_ours_is_none_of_a_router(world):
    """Our gateway was down: who is heard of first is no sign that a router is out."""
    world.hear(ROOF, "s0", "s1")
    world.heard("s0", 60 * MINUTE)
    world.heard("s1", 60 * MINUTE)
    world.listen(since=timedelta(days=1), beat=45 * MINUTE)
    world.watch.look()
    assert world.states()[:2] == [("unknown", "gateway_outage")] * 2
    world.listen(since=3 * MINUTE)
    world.watch.look()
    assert world.states()[0] == ("unknown", "gateway_outage")
    world.listen(since=8 * MINUTE)
    world.watch.look()
    assert world.states()[:2] == [SILENT] * 2


def test_silence_is_a_retained_topic_that_others_hear(world):
    world.hear(ROOF, "s0", "s1")
    for code in ("s0", "s1", "s3"):
        world.heard(code, 8 * MINUTE)
    world.watch.look()
    world.watch.look()
    said = dict(world.topics())
    assert len(world.topics()) == 3
    assert (said["s0"]["silent"], said["s0"]["reason"]) == (True, "router_outage")
    assert said["s0"]["router"] == ROOF
    assert said["s3"] == {
        "silent": True, "reason": "silence", "router": None, "training": False,
        "since": said["s3"]["since"], "last_received": said["s3"]["last_received"],
    }  # fmt: skip
    world.heard("s3", timedelta(0))
    world.listen(since=None)  # while nobody listens, what was said stands
    world.heard("s0", 8 * MINUTE, state="unknown")
    world.watch.look()
    ((code, heard),) = world.topics()[3:]
    assert (code, heard["silent"], heard["reason"], heard["router"]) == ("s3", False, None, None)
