"""What is answered for each member of a job: honoured, without effect, or refused by its path."""
