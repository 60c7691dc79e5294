"""Twenty-one whole trainings written by hand, with mistakes where a user would make them: the eighth list."""
