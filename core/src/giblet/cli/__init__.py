"""The command line: parsing, and nothing that takes time before a command needs it."""

from giblet.cli.main import main

__all__ = ["main"]
