"""The tasks: what draws their sequences, and when a sequence is answered rightly."""
