"""Signals are put off, not lost."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from benchmark.system.interrupts import uninterrupted


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_interrupt_waits_for_the_end_of_the_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted(), uninterrupted():
        interrupt()
        done.append("all of it")
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_the_block_it_does_not_wait() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):
        interrupt()
        done.append("never")
    assert done == []


def test_second_interrupt_goes_through() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        interrupt()
        done.append("first")
        interrupt()
        done.append("second")
    assert done == ["first"]


def test_nothing_happens_without_a_signal_or_in_another_thread() -> None:
    with uninterrupted():
        pass
    seen = []

    def work() -> None:
        with uninterrupted():
            seen.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]
