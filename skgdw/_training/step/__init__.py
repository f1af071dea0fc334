"""What one step does to a module's gradients and to the weighting."""
