"""The HTTP face: FastAPI routes over the arrows, one error shape, and Studio's files."""
