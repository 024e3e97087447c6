"""The errors this library raises for its users.

Every message is one line that says what was wrong, what is accepted and, where that helps, what to type.
The command line prints that line alone; a programmer catches `SiconvnetError` or the built-in it also is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from siconvnet.safe_text import brief


class SiconvnetError(Exception):
    """Base of all errors with a message meant for a person."""


class InvalidArgument(SiconvnetError, ValueError):
    """A value outside what is accepted: an even kernel size, an unknown mode, an empty range."""


class UnknownName(InvalidArgument, LookupError):
    """A name that no registry or table holds.

    Args:
        kind: what was looked up, in the singular ("model", "dataset", "interpolation").
        name: what the user wrote.
        known: the names that exist; the nearest is suggested.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]):
        self.kind, self.name, self.known = kind, str(name), sorted(known)
        near = difflib.get_close_matches(brief(self.name).lower(), self.known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"unknown {kind} {brief(self.name)!r}.{hint} Known: {', '.join(self.known) or 'none'}.")

    def __reduce__(self) -> tuple[type, tuple[str, str, list[str]]]:
        return type(self), (self.kind, self.name, self.known)


class DatasetError(SiconvnetError):
    """A data file that is missing, broken or not of the stated format."""
