"""The server's address, calls and streams to it, its errors; knows no tasks."""
