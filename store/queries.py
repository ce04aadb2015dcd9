"""Named SQL statements, kept in plain ``.sql`` files.

A file ``store/queries/NAME.sql`` holds statements, each under a line ``-- name: statement_name``.
Parameters are psycopg's (``%(name)s``); a literal percent sign is written ``%%``.
"""

import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "queries"
# psycopg takes a statement of more than 4,096 bytes apart each time: what only people read goes.
_FOR_PEOPLE = re.compile(r"^[ \t]*--.*\n?|^[ \t]+", re.MULTILINE)
_HEADING = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)


class Statements(Mapping[str, bytes]):
    """The statements of one file by name; bytes, as psycopg takes what is not a literal.

    Parameters
    ----------
    source
        The file's name without ``.sql``, for error messages.
    text
        The file's text.

    Raises
    ------
    ValueError
        If SQL stands before the first heading, a statement is empty or a name comes twice.
    """

    def __init__(self, source: str, text: str) -> None:
        self._source = source
        self._statements: dict[str, bytes] = {}
        preamble, *parts = _HEADING.split(text)
        if re.sub(r"--[^\n]*", "", preamble).strip():
            message = f"{source}.sql: SQL stands before the first '-- name:' line"
            raise ValueError(message)
        for name, body in zip(parts[::2], parts[1::2], strict=True):
            statement = _FOR_PEOPLE.sub("", body.strip()).rstrip(";")
            if not statement:
                message = f"{source}.sql: the statement {name!r} is empty"
                raise ValueError(message)
            if name in self._statements:
                message = f"{source}.sql: the name {name!r} comes twice"
                raise ValueError(message)
            self._statements[name] = statement.encode()

    def __getitem__(self, name: str) -> bytes:
        try:
            return self._statements[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._statements, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            message = f"{self._source}.sql has no statement {name!r}{hint}"
            raise KeyError(message) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)

    def __len__(self) -> int:
        return len(self._statements)


@functools.cache
def load(source: str) -> Statements:
    """Read ``store/queries/{source}.sql`` once.

    Examples
    --------
    >>> "unsent" in load("outbox")
    True
    """
    path = FOLDER / f"{source}.sql"
    return Statements(source, path.read_text(encoding="utf-8"))
