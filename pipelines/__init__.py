"""One thin script a DVC stage: arguments, parameters, one call into src/mult, outputs."""
