"""A run folder to a page that a person wants to read."""

from trainwell.report.page import render, write_report
from trainwell.report.result import result

__all__ = ["render", "result", "write_report"]
