"""The server's door: HTTP by starlette and uvicorn. It knows the worker, not what is behind it."""
