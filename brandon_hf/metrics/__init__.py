"""Metrics of generated text, in plain Python: repetition, and whether an instruction was followed."""
