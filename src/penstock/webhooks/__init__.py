"""Webhooks: other applications are told what happens to assets and playback sessions.

`events` says what is told, `outbox` keeps it until it is delivered, `endpoints` knows to whom, `targets` which
addresses are allowed, `delivery` sends. What is told is written in the transaction of the change itself, so that
neither a crash nor a rollback makes the two disagree.
"""
