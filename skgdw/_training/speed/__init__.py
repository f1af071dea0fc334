"""Ways to take the same steps faster."""
