"""The report's figures: reports/figures/<name>.svg and .png, one module a figure or a few related ones."""

from mult.reports.figures.descriptions import DESCRIPTIONS, Description, describe

__all__ = ["DESCRIPTIONS", "Description", "describe"]
