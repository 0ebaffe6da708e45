-- What arrived last, and how did it end?
SELECT lead_id, status, received_at, processed_at, error_message FROM webhook_events ORDER BY received_at DESC LIMIT 10;
