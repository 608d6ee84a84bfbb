"""What an account keeps beside its jobs: queues, job templates, presets, tags, the input policy."""
