"""Who may call the θ API: bearer JWTs and their keys, scopes, signatures of webhooks.

`signatures` needs no web framework: whoever sends webhooks imports it alone.
"""
