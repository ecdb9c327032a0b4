"""Tests against a real server: THEQUEUE_BINARY is the path of the program, THEQUEUE_DATABASE that of a SQLite file or the URL of a
PostgreSQL database."""
