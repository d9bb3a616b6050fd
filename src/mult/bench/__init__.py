"""`mult bench …`: what is claimed of speed, measured on this machine."""
