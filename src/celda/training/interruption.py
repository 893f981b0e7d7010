"""Ctrl-C that ends well: the first one is remembered, the second one raises."""

import os
import signal
import threading
from types import FrameType
from typing import Any, Self


class Interruption:
    """A context in which SIGINT and SIGTERM only set `received`; a second one raises KeyboardInterrupt at once.

    Outside the main thread, where Python takes no signals, and for a signal that the process was started to ignore,
    nothing changes. The former handlers come back at the end.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.received = False
        self.signal: int | None = None  # the one that was received
        self._quiet = quiet
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._former[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: it was not set from Python

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt(number)
        self.received, self.signal = True, number
        if not self._quiet:  # straight to stderr: the handler may have cut into a print
            os.write(2, b"\nStopping after this step; once more to stop at once.\n")
