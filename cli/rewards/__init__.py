"""Commands about graders, the files that they read, and the cost of a job."""
