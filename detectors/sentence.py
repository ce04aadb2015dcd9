"""A sentence for a person, in English, that can still be said in another language."""

from typing import Any, Self


class Sentence(str):
    """What is said, together with how it was put together.

    It is a plain string in English for everybody who only shows it. `template` and `values` are
    for whoever speaks another language: the template is what a translation is found by.

    Parameters
    ----------
    template : str
        As `str.format` takes it.
    **values : object
        What is filled in; a value may be a `Sentence` itself.

    Examples
    --------
    >>> said = Sentence("must be {least:g} or more, got {value:g}", least=2.0, value=1.5)
    >>> print(said)
    must be 2 or more, got 1.5
    >>> print(said.template.replace("must be", "soll").format(**said.values))
    soll 2 or more, got 1.5
    """

    __slots__ = ("template", "values")

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, /, **values: object) -> Self:
        """Fill the values in; a string is made here, not in `__init__`."""
        said = super().__new__(cls, template.format(**values))
        said.template = template
        said.values = values
        return said

    def saying(self, **values: object) -> Self:
        """Return the same with these values."""
        return type(self)(self.template, **{**self.values, **values})

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        return (self.template,), self.values
