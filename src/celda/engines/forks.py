"""Whether this process came out of a fork: it then has none of the threads that its libraries believe in."""

import os

_forked = False


def forked() -> bool:
    """Whether this process is the child of a fork, without having started another program."""
    return _forked


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_after_fork)
