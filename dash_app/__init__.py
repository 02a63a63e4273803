"""The web room: FastAPI carries Dash, the live channel and health."""
