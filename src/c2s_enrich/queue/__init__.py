"""A leased queue over the table `webhook_events`. It knows nothing of leads, people or messages."""
