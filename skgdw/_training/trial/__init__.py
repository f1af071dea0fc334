"""What a module can do, found out on a few rows before the first step."""
