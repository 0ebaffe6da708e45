"""The whole system on one machine, working: its own Postgres, the simulated upstreams, web, a
poller, and traffic.
"""
