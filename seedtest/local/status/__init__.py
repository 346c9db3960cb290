"""The state of the stack: looked at, and shown."""

from seedtest.local.status.look import StackStatus, status
from seedtest.local.status.view import render

__all__ = ["StackStatus", "render", "status"]
