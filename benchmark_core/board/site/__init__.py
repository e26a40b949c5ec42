"""The report: one self-contained HTML page made from a store, without clock, network or chance."""

from .page import REPORT, build_report, write_report
from .published_lines import PublishedLine

__all__ = ["REPORT", "PublishedLine", "build_report", "write_report"]
