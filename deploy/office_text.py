"""The text of a file as Japanese offices and loggers write it."""

from deploy.import_item import ImportFileError

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def decoded(data: bytes) -> str:
    """Return the text of a file: UTF-8, UTF-16 of Excel, or CP932.

    Raises
    ------
    ImportFileError
        If it is none of them.
    """
    return data.decode(_encoding(data))


def mostly_decoded(data: bytes) -> str:
    """Return the text of a file of which only the first line has to be whole.

    What cannot be read after it becomes U+FFFD: a byte that was damaged costs its own line alone.

    Raises
    ------
    ImportFileError
        If the first line is neither UTF-8, UTF-16 of Excel nor CP932.
    """
    try:
        return decoded(data)
    except ImportFileError:
        head = data if data.startswith(_UTF16) else data.split(b"\n", 1)[0]
        return data.decode(_encoding(head), errors="replace")


def delimiter(text: str) -> str:
    """Return what parts the cells of a table: that of comma, semicolon and tab which is there."""
    return max(",;\t", key=text.split("\n", 1)[0].count)


def _encoding(data: bytes) -> str:
    for encoding in ("utf-16",) if data.startswith(_UTF16) else ("utf-8-sig", "cp932"):
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    raise ImportFileError("The file is neither UTF-8 nor CP932 (Shift_JIS) text.")
