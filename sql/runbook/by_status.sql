-- How many events stand where?
SELECT status, COUNT(*) FROM webhook_events GROUP BY status;
