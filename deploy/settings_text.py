"""The settings as text: a commented default file, and the reference in docs/settings.md.

Both come from the descriptions beside the fields, so that they cannot differ from the program.
"""

import json
import textwrap
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from deploy.settings import PREFIX, Settings, sections

WIDTH = 96


def default_toml() -> str:
    """Return a settings file in which every line is commented out."""
    lines = [
        "# Settings of Mizumori. Take the # off what you change; the rest are the defaults.",
        f"# Secrets belong into the environment: {PREFIX}SECTION__KEY, in capitals.",
        "",
    ]
    for name, fields in sections().items():
        lines += [*_comment(_about(name)), f"#[{name}]"]
        for key, field in fields.items():
            lines += _comment(field.description or "")
            lines.append(f"#{key} = {_toml(field)}")
        lines.append("")
    return "\n".join(lines)


def reference() -> str:
    """Return the reference page of every setting, in Markdown."""
    lines = [
        "# Settings",
        "",
        "<!-- Generated from the settings' own descriptions by `mizumori config --reference`; -->",
        "<!-- a test compares it. Edit the description beside the field. -->",
        "",
        "One file, `mizumori.toml` in the folder where the command runs, or the one that",
        "`--config` or `MIZUMORI_CONFIG` names. `mizumori config` prints it with every default.",
        f"The environment wins over the file: `{PREFIX}API__PORT=9000` is `port` in `[api]`.",
        "Secrets belong into the environment. What `mizumori up` made itself (ports, passwords) is",
        "in `{data_dir}/embedded.toml` and weighs less than both.",
    ]
    for name, fields in sections().items():
        lines += ["", f"## [{name}]", "", _about(name), "", "| setting | default | what it does |"]
        lines.append("|---|---|---|")
        for key, field in fields.items():
            text = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{key}` | `{_toml(field)}` | {text} |")
    return "\n".join([*lines, ""])


def _about(section: str) -> str:
    model = Settings.model_fields[section].annotation
    doc = (model.__doc__ or "").strip() if model else ""
    return " ".join(doc.split("\n\n")[0].split())


def _comment(text: str) -> Iterator[str]:
    return (f"# {line}" for line in textwrap.wrap(text, WIDTH))


def _toml(field: FieldInfo) -> str:
    return _value(field.get_default(call_default_factory=True))


def _value(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None:
        return '""'
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(part) for part in value) + "]"
    if isinstance(value, Path):
        value = str(value)
    return json.dumps(value, ensure_ascii=False)
