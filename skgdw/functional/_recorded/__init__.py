"""Forward mode along the graph that a pass has recorded, without another pass."""
