"""Templates: the shape of a line that one kind of reward function can grade.

Each module here that offers a `TEMPLATE` is one template; a new file is a new template.
"""
