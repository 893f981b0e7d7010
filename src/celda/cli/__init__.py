"""The command line: `celda`. It parses, calls and prints; the work is done elsewhere."""

from celda.cli.app import main

__all__ = ["main"]
