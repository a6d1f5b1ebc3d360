"""Being told to stop: a stage finishes its step, writes a checkpoint and ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C; what schedulers send before they kill; what they can be told to send some minutes earlier."""


class Stopped(KeyboardInterrupt):
    """A stage was told to stop by a signal, and has saved."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


class Ear:
    """The last signal that was heard, 0 if none."""

    def __init__(self) -> None:
        self.heard = 0

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal, as its handler."""
        self.heard = number


@contextmanager
def listening() -> Iterator[Ear]:
    """Within this block signals are only taken note of; outside the main thread, where Python hears none, not even."""
    ear = Ear()
    if threading.current_thread() is not threading.main_thread():
        yield ear
        return
    before = {number: signal.signal(number, ear.hear) for number in SIGNALS}
    try:
        yield ear
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
