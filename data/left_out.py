"""What a build leaves out, counted by reason, with one example of each so that it can be looked at."""

from __future__ import annotations

from collections import Counter

from .texts import utf8_name


class LeftOut:
    """Counts of objects and pictures by the reason why they were left out.

    Attributes:
        counts: reason -> how many.
        examples: reason -> the first one.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def add(self, reason: object, example: str) -> None:
        """Count one more.

        Args:
            reason: such as "unreadable"; of an exception, its text.
            example: the file, or the place in it.
        """
        self.counts[str(reason)] += 1
        self.examples.setdefault(str(reason), utf8_name(example))

    def update(self, other: LeftOut) -> None:
        """Count in what another has counted."""
        self.counts.update(other.counts)
        self.examples = {**other.examples, **self.examples}

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        """ "3 unreadable, 1 missing", the most frequent first."""
        return ", ".join(f"{count:,} {reason}" for reason, count in self._ordered())

    def with_examples(self) -> str:
        """ "3 unreadable (such as cat/1.jpg), 1 missing (dog/4.jpg)"."""
        return ", ".join(
            f"{count:,} {reason} ({'such as ' if count > 1 else ''}{self.examples[reason]})"
            for reason, count in self._ordered()
        )

    def _ordered(self) -> list[tuple[str, int]]:
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
