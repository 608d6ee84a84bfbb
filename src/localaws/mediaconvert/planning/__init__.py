"""What a job will make: decided before anything runs, from what it asks for and what its source is."""
