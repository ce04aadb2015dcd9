"""The files for systemd and Compose hold what the documents promise."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from deploy.cli import app
from deploy.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "deploy" / "compose" / "compose.yaml").read_text(encoding="utf-8")
SECRETS = (ROOT / "deploy" / "compose" / "secrets.env.example").read_text(encoding="utf-8")
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
COMMANDS = set(get_command(app).commands)


def setting_exists(variable):
    section, _, key = variable.removeprefix("MIZUMORI_").lower().partition("__")
    field = Settings.model_fields.get(section)
    return field is not None and key in field.annotation.model_fields


def test_every_variable_is_a_setting():
    names = set(re.findall(r"\bMIZUMORI_[A-Z_]+", COMPOSE + SECRETS))
    assert len(names) > 10
    assert [name for name in sorted(names) if not setting_exists(name)] == []


def test_every_published_port_is_bound_to_this_machine():
    ports = re.findall(r'ports: \["([^"]+)"\]', COMPOSE)
    assert len(ports) == COMPOSE.count("ports: [") == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_secret_has_a_value():
    lines = [line for line in SECRETS.splitlines() if line and not line.startswith("#")]
    assert lines
    assert all(line.endswith("=") for line in lines)
    given = re.findall(r"^ *(\w*(?:PASSWORD|TOKEN|SECRET)\w*): (.*)$", COMPOSE, re.MULTILINE)
    assert {name for name, _ in given} == {line.removesuffix("=") for line in lines}
    for name, value in given:  # Compose says so itself before it starts anything
        assert value == f"${{{name}:?fill in deploy/compose/.env}}"


def test_each_container_has_its_own_secrets_alone():
    services = COMPOSE.partition("\nservices:\n")[2].partition("\nvolumes:\n")[0]
    _, *parts = re.split(r"^  (\w+):$", services, flags=re.MULTILINE)
    assert "env_file" not in COMPOSE
    assert {
        service: set(re.findall(r"(\w+)_PASSWORD: ", part))
        for service, part in zip(parts[::2], parts[1::2], strict=True)
    } == {
        "database": {"POSTGRES", "MIZUMORI_DATABASE__OWNER"},
        "migrate": {f"MIZUMORI_DATABASE__{role}" for role in ("OWNER", "GATEWAY", "JOBS", "API")},
        "broker": {"MIZUMORI_DATABASE__OWNER", "MIZUMORI_NATS__ADMIN"},
        "gateway": {"MIZUMORI_DATABASE__GATEWAY"},
        "jobs": {"MIZUMORI_DATABASE__JOBS"},
        "api": {"MIZUMORI_DATABASE__API"},
        "grafana": {"GF_SECURITY_ADMIN"},
    }


def test_filled_in_secrets_get_neither_into_the_image_nor_into_git():
    file = (ROOT / "deploy" / "compose" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    rules = file.splitlines()
    assert rules.index("deploy/compose") > rules.index("!deploy")  # the last that fits holds
    assert "deploy/compose/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_containers_and_units_start_commands_that_exist():
    started = re.findall(r"command: \[(\w+)\]", COMPOSE)
    assert set(started) == {"migrate", "broker", "gateway", "jobs", "api"}
    assert set(started) <= COMMANDS
    for unit in UNITS:
        [command] = re.findall(
            r"^ExecStart=\S+/mizumori (\w+)(?: --name %H)?$", unit.read_text(), re.MULTILINE
        )
        assert command in COMMANDS, unit.name


def test_the_image_holds_every_package_and_runs_without_root():
    text = (ROOT / "deploy" / "compose" / "Dockerfile").read_text(encoding="utf-8")
    copied = set(re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE))
    assert copied == {p.parent.name for p in ROOT.glob("*/__init__.py")} - {"tests"}
    assert "--require-hashes -r requirements.lock" in text
    assert text.rindex("USER mizumori") > text.rindex("RUN ")


def test_units_are_hardened():
    assert len(UNITS) == 5
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8")
        for line in ("User=mizumori", "NoNewPrivileges=true", "ProtectSystem=strict",
                     "CapabilityBoundingSet=", "KillMode=mixed"):  # fmt: skip
            assert f"\n{line}\n" in text, f"{unit.name}: {line}"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_units_verify(tmp_path):
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8")
        (tmp_path / unit.name).write_text(
            re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE)
        )
    done = subprocess.run(
        ["systemd-analyze", "verify", *sorted(tmp_path.iterdir())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
