"""Evaluation: metrics a task, scores of a run on every domain, and the studies over runs."""
