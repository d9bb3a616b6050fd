"""Slow, obvious implementations that the project's own are held against."""
