"""c2s-enrich: a Contact2Sale webhook in, one message on the lead, everything in Postgres."""
