"""PostgreSQL without root, apt or Docker: from the wheel's programs, on a Unix socket only."""

from seedtest.local.postgres.server import DATABASE, SUPERUSER, EmbeddedPostgres, PreparedPostgres

__all__ = ["DATABASE", "SUPERUSER", "EmbeddedPostgres", "PreparedPostgres"]
