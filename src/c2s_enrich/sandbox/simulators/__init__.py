"""The three upstreams and the gateway as one Starlette app, with a dial of faults, and a CRM that
delivers webhooks.

Nothing here shares code with the clients: both follow the same observations of the real services,
so that a misreading in one of them shows as a failing test.
"""
