"""Cells, compared on the user's own data with equally many weights: what each remembers, costs and gets wrong."""

from celda.tasks.comparison.contest import Measure
from celda.tasks.comparison.results import Comparison, Run
from celda.tasks.comparison.run import TASKS, compare

__all__ = ["TASKS", "Comparison", "Measure", "Run", "compare"]
