"""Self-contained pages: about a run, and for blind listening to its sounds."""

from giblet.report.listening import write_listening
from giblet.report.page import write_report

__all__ = ["write_listening", "write_report"]
