"""Job settings: what they ask for, read into values."""
