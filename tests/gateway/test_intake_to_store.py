"""The way of a reading, from the device's publish to the rows."""

import time

from tests.gateway.conftest import NOW_MS

COUNT = "select count(*) from observation"


def test_a_reading_is_stored_with_its_flag_and_is_the_latest(town):
    town.start()
    town.device().publish({"ts": NOW_MS, "seq": 7, "m": {"depth_m": 0.012}})
    town.wait_for(COUNT, 1)
    row = town.rows(
        "select extract(epoch from phenomenon_time) * 1000, value, seq, datastream_id, marks "
        "from observation"
    )
    assert row == [(NOW_MS, 0.012, 7, town.datastream(), 0)]
    assert town.rows("select value, datastream_id from latest") == [(0.012, town.datastream())]
    assert town.value("select l.state from link_state l join device using (device_id) "
                      "where code = 'flood-01'") == "online"  # fmt: skip
    assert town.value("select count(*) from rollup_dirty") == 1


def test_a_device_that_sends_again_is_stored_once(town):
    town.start()
    device = town.device()
    for _ in range(3):
        device.publish({"ts": NOW_MS, "seq": 7, "m": {"depth_m": 0.012}})
        device.publish([{"ts": NOW_MS + 1000 * i, "m": {"depth_m": i / 100}} for i in range(1, 5)])
    device.publish({"ts": NOW_MS + 9000, "m": {"depth_m": 0.0}})
    town.wait_for("select count(*) from observation where phenomenon_time = to_timestamp(%s)", 1,
                  NOW_MS / 1000 + 9)  # fmt: skip
    assert town.value(COUNT) == 6
    assert town.value("select count(*) from conflict") == 0


def test_another_value_for_the_same_time_goes_to_the_conflict_table(town):
    gateway = town.start()
    device = town.device()
    device.publish({"ts": NOW_MS, "seq": 1, "m": {"depth_m": 0.01}})
    town.wait_for(COUNT, 1)
    device.publish({"ts": NOW_MS, "seq": 2, "m": {"depth_m": 0.02}})
    town.wait_for("select count(*) from conflict", 1)
    gateway.stop()
    town.start()  # forgets what it knew: now the database decides
    device.publish({"ts": NOW_MS, "seq": 3, "m": {"depth_m": 0.03}})
    town.wait_for("select count(*) from conflict", 2)
    assert town.rows("select value from observation") == [(0.01,)]
    assert town.rows("select value, seq from conflict order by seq") == [(0.02, 2), (0.03, 3)]


def test_a_null_is_a_missing_value(town):
    town.start()
    town.device().publish({"ts": NOW_MS, "m": {"depth_m": None}})
    town.wait_for(COUNT, 1)
    assert town.rows("select value = 'NaN', flag from observation") == [(True, 9)]


def test_positions_are_stored_with_what_the_logger_left_out_as_null(town):
    town.start()
    plow = town.device("plow-01")
    plow.publish(
        {
            "ts": NOW_MS,
            "seq": 1,
            "fix": {
                "lat": 41.88,
                "lon": -87.63,
                "speed_kmh": 12.5,
                "course_deg": 90,
                "hdop": 0.9,
                "blade": True,
            },
        }
    )
    plow.publish([{"ts": NOW_MS + 5000, "fix": {"lat": 41.8801, "lon": -87.63}},
                  {"ts": NOW_MS + 6000, "fix": {"lat": 95.0, "lon": 0.0}},
                  {"ts": NOW_MS + 7000, "fix": {}}])  # fmt: skip
    plow.publish({"ts": NOW_MS, "seq": 1, "fix": {"lat": 41.88, "lon": -87.63}})
    town.wait_for("select count(*) from position", 4)
    assert town.rows("select lat, speed_kmh, blade, flag from position order by phenomenon_time "
                     "limit 3") == [(41.88, 12.5, True, 1), (41.8801, None, None, 1),
                                    (95.0, None, None, 4)]  # fmt: skip
    assert town.value("select flag from position order by phenomenon_time desc limit 1") == 9
    assert town.value("select lat from latest_position") == 41.8801


def test_without_a_device_time_the_sequence_number_is_the_identity(town):
    town.start()
    device = town.device()
    before = time.time()
    for _ in range(2):
        device.publish([{"seq": 1, "m": {"depth_m": 0.01}}, {"seq": 2, "m": {"depth_m": 0.02}}])
        town.wait_for(COUNT, 2)  # so that the second time is a batch of its own
    device.publish({"seq": 3, "m": {"depth_m": 0.03}})
    town.wait_for(COUNT, 3)
    rows = town.rows("select seq, marks, phenomenon_time from observation order by seq")
    assert [row[:2] for row in rows] == [(1, 1), (2, 1), (3, 1)]
    assert before - 1 < rows[0][2].timestamp() < time.time() + 1


def test_with_neither_time_nor_number_it_is_stored_at_least_once_and_marked(town):
    town.start()
    device = town.device()
    for _ in range(2):
        device.publish([{"m": {"depth_m": 0.01}}, {"m": {"depth_m": 0.01}}])
    town.wait_for(COUNT, 4)
    assert town.rows("select distinct marks from observation") == [(3,)]


def test_a_training_town_marks_what_comes_in(town):
    town.owner.execute("update tenant set training = true")
    town.start()
    town.device().publish({"ts": NOW_MS, "m": {"depth_m": 0.5}})
    town.wait_for(COUNT, 1)
    assert town.value("select marks from observation") == 4
    town.device().publish({"ts": NOW_MS + 60_000, "m": {"depth_m": 0.5}})
    town.wait_for("select count(*) from alert where training", 1)


def test_a_clock_that_steps_back_is_stored_without_loss_and_marked(town):
    town.start()
    device = town.device("pond-01")
    times = [0, 600, 1200, 300, 900, 1500]  # the clock steps back after the third
    for seq, second in enumerate(times):
        device.publish({"ts": NOW_MS + 1000 * second, "seq": seq, "m": {"ph": 7.5}})
    town.wait_for(COUNT, 6)
    marked = town.rows("select seq from observation where marks & 8 <> 0 order by seq")
    assert marked == [(3,), (4,)]


def test_a_test_publish_is_seen(town):
    town.start()
    town.device().publish({"probe": "5f0c"})
    town.wait_for("select count(*) from probe_seen where nonce = '5f0c'", 1)


def test_a_batch_that_holds_more_than_one_transaction_should_is_cut(town):
    town.start(batch_readings=50)
    device = town.device()
    for start in range(0, 1000, 100):
        device.publish([{"ts": NOW_MS + 1000 * (start + i), "m": {"depth_m": 0.0}}
                        for i in range(100)])  # fmt: skip
    town.wait_for(COUNT, 1000)


def test_the_same_works_against_mosquitto(mosquitto_town):
    town = mosquitto_town
    gateway = town.start()
    device = town.device()
    device.publish({"ts": NOW_MS, "seq": 7, "m": {"depth_m": 0.012}})
    town.wait_for(COUNT, 1)
    gateway.stop()
    device.publish({"ts": NOW_MS + 1000, "seq": 8, "m": {"depth_m": 0.013}})
    town.start()
    town.wait_for(COUNT, 2)


def test_network_gateways_that_heard_a_device_are_written_down_rarely(town):
    """A bridge may name them as well as a network server; names that cannot be are refused."""
    town.start()
    device = town.device()
    heard = "select router, heard_at from device_router order by router"
    device.publish({"ts": NOW_MS, "m": {"depth_m": 0.01}, "routers": ["roof", "hill", "roof"]})
    town.wait_for(COUNT, 1)
    first = town.rows(heard)
    assert [name for name, _ in first] == ["hill", "roof"]
    device.publish({"ts": NOW_MS + 1000, "m": {"depth_m": 0.01}, "routers": ["roof", "bridge"]})
    many = [f"n{i}" for i in range(32)]
    device.publish({"ts": NOW_MS + 2000, "m": {"depth_m": 0.01}, "routers": many})
    device.publish({"ts": NOW_MS + 3000, "m": {"depth_m": 0.01}, "routers": ["no name"]})
    device.publish({"ts": NOW_MS + 4000, "m": {"depth_m": 0.01}})
    town.wait_for(COUNT, 4)
    rows = town.rows(heard)
    assert len(rows) == 32  # names come from outside: what is kept has an end
    assert set(first) < set(rows)  # those that are known are not written again
    assert town.value("select count(*) from quarantine") == 1
