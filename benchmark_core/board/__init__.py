"""Leaderboards made from records: aggregation, statistics, number formats and tables. Needs a store and the
manifest that a run leaves in it; neither plugins nor torch.
"""

from .aggregate import make_board
from .boards import boards_of
from .headline import make_boards
from .model import Block, Cell, Column, Row, Table
from .table import FORMATS, render

__all__ = [
    "FORMATS",
    "Block",
    "Cell",
    "Column",
    "Row",
    "Table",
    "boards_of",
    "make_board",
    "make_boards",
    "render",
]
