"""With Mosquitto its administrator lets towns and devices in: commands wait for nobody."""

import pytest


@pytest.fixture
def mosquitto(mizumori, tmp_path):
    (tmp_path / "mizumori.toml").write_text('[broker]\nkind = "mosquitto"\nport = 1\n')
    return mizumori


def test_a_town_and_a_device_are_told_what_lets_them_in(mosquitto):
    said = mosquitto("tenant", "add", "kawabe", "--name-ja", "川辺町", "--name-en", "Kawabe")
    assert said.splitlines()[-1].startswith("Next, its account at Mosquitto: mizumori broker-")
    said = mosquitto("device", "add", "kawabe", "flood-01", "--kind", "flood_level")
    assert "Secret" in said
    assert "Next, let it in: mizumori broker-config" in said
    assert "mizumori device test kawabe flood-01" in said
