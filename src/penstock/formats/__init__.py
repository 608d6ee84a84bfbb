"""Bytes or text to values and back. No I/O, no clock, no network, no subprocess."""
