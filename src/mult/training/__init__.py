"""Training: losses, the loop, and what it leaves behind."""
