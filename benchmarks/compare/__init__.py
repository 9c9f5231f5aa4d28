"""Which algorithm is better, and why: worlds, rivals, and what was measured in them."""
