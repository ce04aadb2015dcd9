"""The configuration text, and the file it is written to."""

import dataclasses
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from deploy.broker.account import new_account
from deploy.broker.errors import BrokerConfigError
from deploy.broker.file import write_if_changed
from deploy.broker.nats_config import fitting, render
from deploy.broker.secrets import hash_secret, hash_secrets, matches, new_secret
from deploy.broker.settings import NatsSettings
from store.broker_accounts import BrokerDevice

SETTINGS = NatsSettings(admin_password=SecretStr(new_secret()))
TOWN = new_account(1, "kawabe", SETTINGS)
SECRET = new_secret()
DEVICES = [BrokerDevice("kawabe", code, hash_secret(SECRET)) for code in ("a-1", "b_2")]


def test_no_secret_stands_in_it_only_hashes():
    text = render([TOWN], DEVICES, SETTINGS, {"kawabe"})
    for secret in (
        SECRET,
        TOWN.gateway_password,
        TOWN.client_id_secret,
        SETTINGS.admin_password.get_secret_value(),
    ):
        assert secret not in text


def test_no_secret_stands_in_the_text_form_of_a_row():
    for secret in (TOWN.gateway_password, TOWN.client_id_secret):
        assert secret not in repr(TOWN)
    assert DEVICES[0].secret_hash not in repr(DEVICES[0])


def test_equal_rows_in_any_order_give_the_same_text():
    other = new_account(2, "higashi", SETTINGS)
    text = render([TOWN, other], DEVICES, SETTINGS, {"kawabe", "higashi"})
    assert text == render([other, TOWN], DEVICES[::-1], SETTINGS, ["higashi", "kawabe"])


def test_devices_of_a_town_whose_sessions_do_not_exist_are_left_out():
    text = render([TOWN], DEVICES, SETTINGS, ())
    assert "kawabe/a-1" not in text
    assert "kawabe/@gateway" in text


@pytest.mark.parametrize("code", ["a.b", "a b", "*", ">", "@admin", 'a"', "a\n", "ä", "", "a" * 64])
def test_a_code_that_is_not_one_is_refused(code):
    with pytest.raises(BrokerConfigError, match="cannot be a device's code"):
        render([TOWN], [BrokerDevice("kawabe", code, "x")], SETTINGS, {"kawabe"})
    with pytest.raises(BrokerConfigError, match="cannot be a town's code"):
        render([dataclasses.replace(TOWN, tenant_code=code)], [], SETTINGS, ())


def test_queues_that_could_fill_the_store_are_refused():
    big = dataclasses.replace(TOWN, queue_bytes=SETTINGS.store_bytes)
    with pytest.raises(BrokerConfigError, match="more than the 4096 MiB of the broker's store"):
        render([big], [], SETTINGS, ())


def test_the_oldest_towns_that_fit_are_chosen():
    towns = [dataclasses.replace(TOWN, tenant_id=n, tenant_code=f"t{n}") for n in range(1, 11)]
    chosen = fitting(towns[::-1], SETTINGS)
    assert [a.tenant_code for a in chosen] == [f"t{n}" for n in range(1, 8)]
    assert render(chosen, [], SETTINGS, ())


def test_without_an_administrators_password_nothing_is_written():
    with pytest.raises(BrokerConfigError, match="MIZUMORI_NATS__ADMIN_PASSWORD"):
        render([TOWN], [], NatsSettings(), ())


def test_a_certificate_without_its_key_is_refused():
    with pytest.raises(ValidationError, match="belong together"):
        NatsSettings(tls_cert=Path("cert.pem"))


@pytest.mark.parametrize(("sync", "written"), [("always", True), ("fast", False)])
def test_syncing_each_message_is_the_default_and_a_choice(sync, written):
    assert NatsSettings().sync == "always"
    text = render([TOWN], [], SETTINGS.model_copy(update={"sync": sync}), ())
    assert ("sync_interval: always" in text) is written


def test_a_disk_has_a_minute_to_store_what_a_device_sent():
    assert 'js_api_timeout: "60s"' in render([TOWN], [], SETTINGS, ())


def test_the_file_is_its_owners_alone_and_written_only_when_it_differs(tmp_path):
    path = tmp_path / "nats.conf"
    path.write_text("old")
    path.chmod(0o644)
    assert write_if_changed(path, "new") is True
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert write_if_changed(path, "new") is False
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["nats.conf"]


def test_a_secret_is_128_bits_and_its_hash_is_cheap():
    assert len(bytes.fromhex(new_secret())) == 16
    assert new_secret() != new_secret()
    assert hash_secret(SECRET).startswith("$2b$04$")
    assert matches(SECRET, hash_secret(SECRET))
    assert not matches(new_secret(), hash_secret(SECRET))


def test_many_secrets_are_hashed_in_their_order_and_it_is_said_how_far_it_is(monkeypatch):
    monkeypatch.setattr("deploy.broker.secrets.TOLD_EVERY", 2)
    clear, told = [new_secret() for _ in range(5)], []
    hashes = hash_secrets(clear, lambda *so_far: told.append(so_far))
    assert all(matches(*pair) for pair in zip(clear, hashes, strict=True))
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert hash_secrets([]) == []
