"""MulT: multitask learning for dense vision, with and without shared attention."""

__version__ = "0.1.0"
