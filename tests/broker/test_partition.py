"""The broker's partition of a device is the one that we compute."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.partition import partition_of
from tests.broker.clients import device, drain_all, intakes, up
from tests.fixtures.broker import DEVICES, NatsServer

# FNV-1a, 32 bits, as its authors publish it: offset basis, "a", "foobar".
VECTORS = [("a", 0xE40C292C), ("foobar", 0xBF9CF968), ("b", 0xE70C2DE5)]


@pytest.mark.parametrize(("text", "digest"), VECTORS)
def test_it_is_fnv_1a(text, digest):
    assert partition_of(text, 1 << 32) == digest


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", fullmatch=True), st.integers(1, 64))
def test_it_is_within_the_number_of_partitions(code, partitions):
    assert 0 <= partition_of(code, partitions) < partitions


@pytest.mark.parametrize("partitions", [1, 3, 4, 7])
def test_the_broker_computes_the_same_each_time(tmp_path_factory, partitions):
    codes = [*DEVICES, "A", "0", "a_b-c", "x" * 63, *(f"sensor-{n:03}" for n in range(20))]
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.add_town("kawabe", codes, partitions=partitions)
    server.start()
    try:
        for _ in range(2):  # before and after a restart
            with intakes(server) as opened:
                for code in codes:
                    with device(server, code) as d:
                        assert d.publish(up(code), code.encode())
                came = drain_all(opened, [code.encode() for code in codes])
            seen = {m.topic.split("/")[-2]: n for n, m in came}
            assert seen == {code: partition_of(code, partitions) for code in codes}
            server.restart()
    finally:
        server.stop()


def test_devices_spread_over_the_partitions():
    counts = Counter(partition_of(f"flood-{n:04}", 4) for n in range(1000))
    assert min(counts.values()) > 200
