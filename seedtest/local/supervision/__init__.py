"""Processes of the stack: kept alive by supervisord, found again when it was killed, waited for."""
