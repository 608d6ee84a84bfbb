"""Penstock: protected video on demand, from upload to playback session."""
