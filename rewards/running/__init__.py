"""Running graders: the events they receive, the processes they run in, and their results."""
