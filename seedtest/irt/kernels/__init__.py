"""Compiled inner loops; `seedtest.irt.compiled` loads them at first use, nothing else imports them."""
