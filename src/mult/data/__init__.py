"""Data: domains that render themselves, label generators, and the shards that training reads."""
