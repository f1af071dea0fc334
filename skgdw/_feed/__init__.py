"""From rows to batches: owns the orders and the row numbers, knows no weight."""
