"""Models: one encoder for all tasks, a transformer decoder a task, and the attention maps that decoders share."""
