"""Between a sweep and its store: records are brought there, and an unreachable store does not block the sweep."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmark.store import Store, TrackingError
from benchmark.store.ingestion import Busy, ingest
from benchmark.training.work_folder import Workplace

#: Seconds until a store that did not answer is asked again.
_PAUSE = 30.0

T = TypeVar("T")


class Delivery:
    """Hands records over, and asks the store in between.

    Args:
        say: told, in one line, when the store falls silent and when it answers again, and which records stay behind.

    Attributes:
        silence: why the store does not answer; empty while it does.
        refused: folder of a record -> why it cannot be logged. It is not tried again in this pass.
    """

    def __init__(self, store: Store, place: Workplace, say: Callable[[str], None]):
        self.store, self.place, self.say = store, place, say
        self.silence = ""
        self.refused: dict[Path, str] = {}
        self._until = 0.0

    def ask(self, question: Callable[[], T]) -> T | None:
        """What the store answers; None while it is silent."""
        if not self.silence:
            try:
                return question()
            except TrackingError as error:
                self._fall_silent(error)
        return None

    def deliver(self, *, patient: bool = False) -> None:
        """Bring all records that wait to the store.

        Args:
            patient: ask a store that does not answer three times before giving up on it.
        """
        if self.silence and not patient and time.monotonic() < self._until:
            return
        for attempt in range(3 if patient else 1):
            if attempt:
                time.sleep(2.0**attempt)
            try:
                self._hand_over(seconds=600 if patient else 1)
            except Busy as error:
                # Whoever it is logs ours as well; at the end it must be certain.
                self.silence = str(error) if patient else self.silence
                return
            except TrackingError as error:
                self._fall_silent(error)
            else:
                if self.silence:
                    self.say("the store answers again")
                self.silence = ""
                return

    def _hand_over(self, seconds: float) -> None:
        for outcome in ingest(self.place.records, self.store, once=True, wait=seconds, skip=self.refused):
            if outcome.error:
                self.refused[outcome.folder] = outcome.error
                self.say(f"not logged, and left in {self.place.records}: {outcome.error}")

    def _fall_silent(self, error: TrackingError) -> None:
        """Say so once, and leave the store alone for a while."""
        if not self.silence:
            self.say(f"{error} Finished runs wait in {self.place.records}.")
        self.silence, self._until = str(error), time.monotonic() + _PAUSE
