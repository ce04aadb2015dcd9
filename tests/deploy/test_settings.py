"""The settings: precedence, and errors that a person can act on."""

import re
import subprocess
from pathlib import Path

import pytest

from deploy.settings import SettingsError, load_settings, sections
from deploy.settings_text import default_toml, reference
from tests.fixtures.system import MIZUMORI

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("MIZUMORI_CONFIG", "MIZUMORI_API__PORT"):
        monkeypatch.delenv(name, raising=False)


def write(text: str, name="mizumori.toml") -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def refusal(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(text))
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith(".")
    return said


def test_environment_beats_file_beats_remembered_beats_default(monkeypatch):
    write("[embedded]\npostgres_port = 1\n[api]\nport = 2\n", "var/embedded.toml")
    assert load_settings().api.port == 2
    assert load_settings(remembered=False).api.port == 8080
    write("[api]\nport = 3\n")
    assert load_settings().api.port == 3
    assert load_settings().embedded.postgres_port == 1
    monkeypatch.setenv("MIZUMORI_API__PORT", "4")
    assert load_settings().api.port == 4


def test_a_database_of_ones_own_hides_the_embedded_one():
    write(
        '[database]\ndsn = "postgresql://127.0.0.1:1/x"\nowner_password = "o"\n',
        "var/embedded.toml",
    )
    assert load_settings().database.dsn.endswith(":1/x")
    write('[database]\ndsn = "postgresql://db:5432/y"\n')
    settings = load_settings()
    assert settings.database.dsn.endswith("db:5432/y")
    assert settings.database.owner_password.get_secret_value() == ""


def test_the_data_folder_is_relative_to_the_file_not_to_where_the_command_runs(tmp_path):
    path = write('[embedded]\ndata_dir = "data"\n', "town/settings.toml")
    assert load_settings(path).embedded.data_dir == tmp_path / "town" / "data"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[gatewy]\n", ["[gatewy]", "did you mean gateway"]),
        ("[gateway]\nqueue_mesages = 1\n", ["[gateway]", "did you mean queue_messages"]),
        ("[gateway]\nqueue_messages = 0\n", ["gateway.queue_messages", "1"]),
        ('[api]\nport = "high"\n', ["api.port", "integer"]),
        ('[database]\ndsn = "mysql://x/y"\n', ["database.dsn", "postgresql://"]),
        ('[api]\nhost = "0.0.0.0"\n', ["api.host", "allow_unauthenticated"]),
        ("[api\n", ["not valid TOML", "line 1"]),
        ("api = 1\n", ["[api]"]),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_key(text, words):
    said = refusal(text)
    for word in words:
        assert word in said


def test_an_unknown_variable_is_an_error_and_names_the_nearest(monkeypatch):
    monkeypatch.setenv("MIZUMORI_API__PROT", "1")
    with pytest.raises(SettingsError, match="did you mean MIZUMORI_API__PORT"):
        load_settings()


def test_a_wrong_variable_is_named_and_a_secret_is_not_repeated(monkeypatch):
    monkeypatch.setenv("MIZUMORI_API__PORT", "x")
    with pytest.raises(SettingsError, match="MIZUMORI_API__PORT"):
        load_settings()
    monkeypatch.delenv("MIZUMORI_API__PORT")
    said = refusal('[database]\ndsn = "postgresql://me:hunter2@db/x"\n')
    assert "hunter2" not in said


def test_a_file_that_is_named_must_exist():
    with pytest.raises(SettingsError, match=re.escape("nowhere.toml does not exist")):
        load_settings(Path("nowhere.toml"))


def test_the_printed_default_file_is_the_defaults():
    text = re.sub(r"^#(?=\[|\w+ = )", "", default_toml(), flags=re.MULTILINE)
    text = re.sub(r'^\w+ = ""$\n', "", text, flags=re.MULTILINE)  # empty: left out
    from_text = load_settings(write(text))
    Path("mizumori.toml").unlink()
    assert from_text == load_settings()
    assert load_settings(write(default_toml())) == from_text  # all lines are comments


def test_every_setting_says_what_it_does_and_stands_in_the_reference():
    for section, fields in sections().items():
        for key, field in fields.items():
            assert field.description, f"{section}.{key}"
    assert DOCS.read_text(encoding="utf-8") == reference(), (
        "renew it with: .venv/bin/mizumori config --reference > docs/settings.md"
    )


def test_a_broken_file_ends_a_command_with_one_sentence_and_code_1():
    write("[api]\nprot = 1\n")
    done = subprocess.run([*MIZUMORI, "up"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "did you mean port" in done.stderr


def test_wrong_usage_is_code_2():
    done = subprocess.run([*MIZUMORI, "up", "--dmo"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
