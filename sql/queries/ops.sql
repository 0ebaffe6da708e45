-- What /health and /readyz ask.

-- name: health_queue
-- One row of numbers.
select oldest_due_seconds, waiting, in_flight, leases_over, pollers_beating, pollers_silent, messages_pending,
       messages_sending, messages_unclear, rejects_waiting, read_only
  from health_queue;

-- name: health_upstreams
-- Every upstream; paused_seconds is null where it was never paused and 0 where its pause has ended.
select name, paused_seconds, reason, calls_today, daily_budget from health_upstreams order by name;

-- name: health_last_hour
-- One row. rejects_share is the part of their room that rejected deliveries fill.
select h.ended, h.failed, h.failed_kinds, h.claims_lost,
       r.bytes::double precision / r.room as rejects_share
  from health_last_hour h, health_rejects r;

-- name: health_silence
-- No row before the first webhook.
select silent_seconds, weeks, usual, business_hours from health_silence;

-- name: newest_migration
-- Null before the first one.
select max(version) from schema_migrations;
