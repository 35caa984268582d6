"""Commands about releases for the people who decide on them."""
