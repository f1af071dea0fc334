"""What ``fit`` is given: checked once, then split into training and meta rows."""
