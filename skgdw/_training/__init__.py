"""One training run: its steps, what they are tried on first, and what it writes down."""
