import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from deploy.grafana import sync
from deploy.grafana.dashboard import DASHBOARDS, dashboard_uid, folder_uid, former_folder_uid
from deploy.grafana.errors import GrafanaSyncError
from deploy.grafana.sync import DatabaseAddress, sync_grafana
from deploy.settings import Settings
from store import town_catalog
from store.database import Database
from store.town_catalog import NewTenant
from store.town_roles import role_name
from tests.fixtures.database import PASSWORD
from tests.grafana.fake import TOKEN, VIEWER_TOKEN, FakeGrafana

TOWN = "sync-town"


@pytest.fixture
def grafana():
    fake = FakeGrafana()
    yield fake
    fake.close()


@pytest.fixture
def settings_for(database_dsn):
    parts = conninfo_to_dict(database_dsn.owner)
    address = f"postgresql://{parts['host']}:{parts['port']}/{parts['dbname']}"

    def settings(url, token=TOKEN, **grafana):
        return Settings(
            database={"dsn": address, "owner_password": PASSWORD},
            grafana={"url": url, "token": SecretStr(token), **grafana},
        )

    return settings


@pytest.fixture
def town(database_dsn):
    with Database(database_dsn.owner, name="test-owner", answer_within_s=60) as owner:
        with owner.transaction() as conn:
            town_catalog.add_tenant(
                conn, NewTenant(code=TOWN, name_ja="水守町", name_en="Mizumori", training=True)
            )
        yield owner
        with owner.transaction() as conn:
            conn.execute(f'drop role if exists "{role_name(TOWN)}"')


@pytest.mark.usefixtures("town")
def test_the_first_sync_makes_everything_and_grafana_can_log_in(grafana, settings_for):
    said = list(sync_grafana(settings_for(grafana.url)))
    assert said[0] == f"{TOWN}: data source ready, role mizumori_town_{TOWN}."
    assert said[1:] == [f"{TOWN}: dashboard {name} made." for name in DASHBOARDS]
    assert set(grafana.dashboards) == {f"mz-{TOWN}-{name}" for name in DASHBOARDS}
    assert grafana.folders[f"mz-{TOWN}"]["title"] == "【訓練】水守町 · Mizumori"
    assert all(d["meta"]["folderUid"] == f"mz-{TOWN}" for d in grafana.dashboards.values())
    source = grafana.datasources[f"mz-{TOWN}"]
    assert source["jsonData"]["sslmode"] == "disable"


@pytest.mark.usefixtures("town")
def test_a_second_sync_changes_only_the_password(grafana, settings_for):
    settings = settings_for(grafana.url)
    list(sync_grafana(settings))
    before = grafana.datasources[f"mz-{TOWN}"]["secureJsonData"]["password"]
    count = len(grafana.writes())
    said = list(sync_grafana(settings))
    assert said[1:] == [f"{TOWN}: dashboard {name} unchanged." for name in DASHBOARDS]
    assert grafana.writes()[count:] == [("PUT", f"/grafana/api/datasources/uid/mz-{TOWN}")]
    after = grafana.datasources[f"mz-{TOWN}"]["secureJsonData"]["password"]
    assert before != after
    assert not any(before in line or after in line for line in said)
    address = conninfo_to_dict(settings.database.dsn)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(make_conninfo(**{**address, "user": role_name(TOWN), "password": before}))


def test_what_was_changed_by_hand_is_put_right(grafana, settings_for, town):
    settings = settings_for(grafana.url)
    list(sync_grafana(settings))
    flood = grafana.dashboards[f"mz-{TOWN}-flood"]
    flood["dashboard"]["panels"][0]["targets"][0]["rawSql"] = "select 1"
    grafana.dashboards[f"mz-{TOWN}-snow"]["meta"]["folderUid"] = "elsewhere"
    with town.transaction() as conn:
        town_id = town_catalog.tenant(conn, TOWN).tenant_id
        town_catalog.set_tenant(conn, town_id, {"training": False})
    said = list(sync_grafana(settings))
    assert said[1:] == [f"{TOWN}: dashboard {name} renewed." for name in DASHBOARDS]
    assert grafana.folders[f"mz-{TOWN}"]["title"] == "水守町 · Mizumori"
    flood = grafana.dashboards[f"mz-{TOWN}-flood"]["dashboard"]
    assert flood["panels"][0]["targets"][0]["rawSql"] != "select 1"


def test_every_town_is_brought_and_the_mark_of_an_exercise_is_its_own(grafana, settings_for, town):
    other = "yamabe"
    with town.transaction() as conn:
        town_catalog.add_tenant(conn, NewTenant(code=other, name_ja="山辺町", name_en="Yamabe"))
    try:
        said = list(sync_grafana(settings_for(grafana.url)))
        assert [line.partition(":")[0] for line in said] == [TOWN] * 4 + [other] * 4
        titles = {uid: folder["title"] for uid, folder in grafana.folders.items()}
        assert titles == {
            f"mz-{TOWN}": "【訓練】水守町 · Mizumori",
            f"mz-{other}": "山辺町 · Yamabe",
        }
        assert {s["user"] for s in grafana.datasources.values()} == {
            role_name(TOWN), role_name(other),
        }  # fmt: skip
    finally:
        with town.transaction() as conn:
            conn.execute(f'drop role if exists "{role_name(other)}"')


def test_no_folder_is_called_as_a_dashboard():
    ends = ["", *(f"-{name}" for name in DASHBOARDS)]
    codes = ["x", "x-", "mz-x", *(f"x{one}{other}" for one in ends for other in ends if one)]
    uids = [folder_uid(code) for code in codes]
    uids += [dashboard_uid(code, name) for code in codes for name in DASHBOARDS]
    assert len(set(uids)) == len(uids)
    assert max(len(folder_uid("a" * 25 + end)) for end in ends) <= 40


@pytest.fixture
def add_town(town):
    added = []

    def add(code):
        with town.transaction() as conn:
            town_catalog.add_tenant(conn, NewTenant(code=code, name_ja="山辺町", name_en=code))
        added.append(code)

    yield add
    with town.transaction() as conn:
        for code in added:
            conn.execute(f'drop role if exists "{role_name(code)}"')


def test_a_town_that_is_called_as_a_dashboard_of_another_has_its_own_folder(
    grafana, settings_for, add_town
):
    other = f"{TOWN}-flood"
    add_town(other)
    settings = settings_for(grafana.url)
    list(sync_grafana(settings))
    assert set(grafana.folders) == {f"mz-{TOWN}", f"mz_{other}"}
    for code, folder in ((TOWN, f"mz-{TOWN}"), (other, f"mz_{other}")):
        for name in DASHBOARDS:
            made = grafana.dashboards[f"mz-{code}-{name}"]
            assert (made["meta"]["folderUid"], code in made["dashboard"]["tags"]) == (folder, True)
    assert [line for line in sync_grafana(settings) if "dashboard" in line] == [
        f"{code}: dashboard {name} unchanged." for code in (other, TOWN) for name in DASHBOARDS
    ]


def test_a_folder_of_the_former_identity_is_left_and_ended_once_it_is_empty(
    grafana, settings_for, add_town, monkeypatch
):
    add_town("yama-flood")
    settings = settings_for(grafana.url)
    with monkeypatch.context() as before:  # as earlier versions called it
        before.setattr(sync, "folder_uid", former_folder_uid)
        list(sync_grafana(settings))
    assert "mz-yama-flood" in grafana.folders
    title = grafana.folders["mz-yama-flood"]["title"]
    grafana.dashboards["a-copy"] = {
        **grafana.dashboards["mz-yama-flood-flood"], "meta": {"folderUid": "mz-yama-flood"},
    }  # fmt: skip
    for _ in range(2):
        said = [line for line in sync_grafana(settings) if line.startswith("yama-flood")]
        assert f"out of the folder '{title} (old)', which holds something else" in said[-1]
    assert grafana.dashboards["a-copy"]["meta"]["folderUid"] == "mz-yama-flood"
    assert grafana.folders["mz_yama-flood"]["title"] == title
    for name in DASHBOARDS:
        moved = grafana.dashboards[f"mz-yama-flood-{name}"]
        assert moved["meta"]["folderUid"] == "mz_yama-flood"
    grafana.dashboards["a-copy"]["meta"]["folderUid"] = "mz_yama-flood"
    add_town("yama")  # a dashboard of which is called as the former folder
    said = list(sync_grafana(settings))
    assert f"yama-flood: the folder '{title} (old)' was empty and is removed." in said
    assert "yama: dashboard flood made." in said
    assert set(grafana.folders) == {f"mz-{TOWN}", "mz-yama", "mz_yama-flood"}
    assert "a-copy" in grafana.dashboards


def test_no_town_is_said(grafana, settings_for):
    assert list(sync_grafana(settings_for(grafana.url))) == [
        "There is no town yet: add one with `mizumori tenant add`."
    ]


def refusal(settings):
    with pytest.raises(GrafanaSyncError) as caught:
        list(sync_grafana(settings))
    return str(caught.value)


@pytest.mark.usefixtures("town")
def test_missing_settings_are_named(settings_for):
    assert "Set grafana.url" in refusal(settings_for(""))
    assert "MIZUMORI_GRAFANA__TOKEN" in refusal(settings_for("http://127.0.0.1:1", token=""))


@pytest.mark.usefixtures("town")
def test_a_wrong_token_an_absent_and_an_old_grafana_are_one_sentence(grafana, settings_for):
    assert "does not accept the token" in refusal(settings_for(grafana.url, token="other"))
    assert "does not accept the token" in refusal(settings_for(grafana.url, token=VIEWER_TOKEN))
    assert "does not answer: is it running" in refusal(settings_for("http://127.0.0.1:1"))
    for version in ("9.5.21", "10.2.2"):
        grafana.version = version
        assert f"is version {version}; Mizumori needs 10.2.3" in refusal(settings_for(grafana.url))
    grafana.version = None
    assert "is no Grafana: is grafana.url right?" in refusal(settings_for(grafana.url))


@pytest.mark.usefixtures("town")
@pytest.mark.parametrize("version", ["10.2.3", "11.0.0", "12.3.0+security-01", "13.2.0-23873391"])
def test_a_grafana_that_is_new_enough_is_taken(version, grafana, settings_for):
    grafana.version = version
    assert len(list(sync_grafana(settings_for(grafana.url)))) == 4


@pytest.mark.usefixtures("town")
def test_a_grafana_without_the_data_source_for_postgresql_is_told_what_to_install(
    grafana, settings_for
):
    grafana.plugins = {"postgres"}
    said = refusal(settings_for(grafana.url))
    assert "no data source for PostgreSQL (plugin grafana-postgresql-datasource)" in said


@pytest.mark.usefixtures("town")
def test_what_grafana_refuses_is_told_in_its_words(grafana, settings_for):
    grafana.min_refresh_s = 60
    assert refusal(settings_for(grafana.url)) == (
        f"Grafana at {grafana.url} refuses: Dashboard refresh interval is too low."
    )


@pytest.mark.parametrize(
    ("dsn", "url"),
    [
        ("postgresql://db.example.lan/mizumori", "db.example.lan:5432"),
        ("postgresql://127.0.0.1:5433/mizumori", "127.0.0.1:5433"),
        ("postgresql://[::1]:5433/mizumori", "[::1]:5433"),
        ("postgresql:///mizumori?host=/run/postgresql", "/run/postgresql"),
    ],
)
def test_the_address_is_written_as_grafana_reads_it(dsn, url):
    assert DatabaseAddress.of(dsn, "").url == url
    assert DatabaseAddress.of(dsn, "db.example.lan:6432").url == "db.example.lan:6432"


@pytest.mark.usefixtures("town")
def test_a_database_that_grafana_does_not_reach_is_named_with_its_setting(grafana, settings_for):
    said = refusal(settings_for(grafana.url, database_address="127.0.0.1:1"))
    assert "does not reach the database at 127.0.0.1:1" in said
    assert "grafana.database_address" in said


@pytest.mark.usefixtures("town")
def test_an_address_that_became_wrong_is_told_although_the_last_one_was_right(
    grafana, settings_for
):
    list(sync_grafana(settings_for(grafana.url)))
    said = refusal(settings_for(grafana.url, database_address="127.0.0.1:1"))
    assert "does not reach the database at 127.0.0.1:1" in said
