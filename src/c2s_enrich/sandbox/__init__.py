"""All that runs the product on one machine and never in production: Postgres, simulators, demo,
drill.
"""
