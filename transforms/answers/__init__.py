"""Reference answers: the sources they come from, and the choice between them."""
