-- How long does an event take on average, in seconds?
SELECT AVG(EXTRACT(EPOCH FROM (processed_at - received_at))) FROM webhook_events WHERE processed_at IS NOT NULL;
