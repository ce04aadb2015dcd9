"""What the documents point at is there: pages, files, commands, options, pictures."""

import re
import shlex
import struct
from pathlib import Path

import click
import pytest
from typer.main import get_command

from deploy.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("api/web/basemap/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# A path of this repository in back quotes: it starts with one of its folders.
ROOMS = "api|deploy|detectors|docs|firmware_sim|gateway|jobs|store|tests"
PATH = re.compile(rf"`((?:{ROOMS})/[A-Za-z0-9_./-]*)`")
# A line of a block, or a span in back quotes, that begins with the command.
COMMAND = re.compile(r"(?:^|`)(?:\.venv/bin/)?mizumori ((?:[^`\n\\]|\\\n)+)", re.MULTILINE)
NARROWEST_PNG, MOST_BYTES = 390, 300_000


def text(page):
    return page.read_text(encoding="utf-8")


def name(page):
    return str(page.relative_to(ROOT))


def anchors(page):
    """Names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page):
    lost = []
    for link in LINK.findall(FENCE.sub("", text(page))):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_path_of_this_repository_exists(page):
    assert [path for path in PATH.findall(text(page)) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", [p for p in PAGES if ".ja." in p.name], ids=name)
def test_a_japanese_page_leads_to_japanese_pages(page):
    other = page.with_name(page.name.replace(".ja.", "."))
    assert other.exists()
    strange = []
    for link in LINK.findall(text(page)):
        target = (page.parent / link).resolve()
        translated = target.with_name(target.name.removesuffix(".md") + ".ja.md")
        if target != other and target.suffix == ".md" and translated.exists():
            strange.append(link)
    assert strange == []


def commands(group, path=()):
    """Every command of the CLI, by the words that call it."""
    for word, command in group.commands.items():
        if isinstance(command, click.Group) or hasattr(command, "commands"):
            yield from commands(command, (*path, word))
        else:
            yield (*path, word), command


CLI = dict(commands(get_command(app)))


def called(words):
    """The command that these words call, if they call one."""
    return next((CLI[words[:n]] for n in (2, 1) if tuple(words[:n]) in CLI), None)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_a_page_shows_exists_with_its_options(page):
    wrong = []
    for line in COMMAND.findall(text(page)):
        line = line.replace("\\\n", " ").split("#")[0]  # noqa: PLW2901  a comment is no part of it
        try:
            words = tuple(shlex.split(line))
        except ValueError:  # a sentence with an apostrophe
            words = tuple(line.split())
        if not re.fullmatch(r"[a-z-]+", words[0]) or words[0].startswith("-"):
            continue  # `mizumori …`, `mizumori --help`
        group = {path[0] for path in CLI}
        if words[0] not in group:
            wrong.append(line)
            continue
        command = called(words)
        if command is None:
            if len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]):
                wrong.append(line)
            continue
        options = {o for parameter in command.params for o in parameter.opts} | {"--help"}
        wrong += [
            f"{line}: {word}"
            for word in words
            if word.startswith("--") and word.partition("=")[0] not in options
        ]
    assert wrong == []


@pytest.mark.parametrize("path", sorted(CLI), ids=" ".join)
def test_every_command_says_what_it_does_and_what_each_option_means(path):
    command = CLI[path]
    assert command.help
    assert len(command.help.split()) > 2
    silent = [
        parameter.name
        for parameter in command.params
        if not getattr(parameter, "help", None) and not getattr(parameter, "hidden", False)
    ]
    assert silent == []


@pytest.mark.parametrize("page", ["commands.md", "commands.ja.md"])
def test_every_command_is_listed(page):
    listed = text(ROOT / "docs" / page)
    missing = [" ".join(path) for path in CLI if f"`mizumori {' '.join(path)}`" not in listed]
    assert missing == []


@pytest.mark.parametrize("page", ["README.md", "README.ja.md"])
def test_the_readme_is_under_two_screens_and_shows_a_picture(page):
    lines = text(ROOT / page).splitlines()
    assert len(lines) < 70
    assert max(map(len, lines)) < 140
    [picture] = [link for link in LINK.findall(text(ROOT / page)) if link.endswith(".png")]
    assert (ROOT / picture).exists()


@pytest.mark.parametrize("picture", sorted(ROOT.glob("docs/images/*.png")), ids=name)
def test_a_picture_is_a_screen_and_no_burden(picture):
    data = picture.read_bytes()
    assert len(data) < MOST_BYTES
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) in {(1280, 800), (NARROWEST_PNG, 844)}
