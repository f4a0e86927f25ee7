"""The ports over SQLAlchemy Core: SQLite, written so that PostgreSQL is an adapter beside it."""
