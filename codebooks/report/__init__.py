"""One HTML page that shows a topic model: `write_report`."""

from codebooks.report.page import write_report

__all__ = ["write_report"]
