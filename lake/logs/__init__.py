"""Source logs and the parts that they are landed in."""
