-- What /health and /readyz ask.

-- name: health_queue
-- One row of numbers.
select oldest_due_seconds, pollers_beating, pollers_silent, messages_unclear from health_queue;

-- name: health_upstreams
-- Every upstream; paused_seconds is null where it was never paused and 0 where its pause has ended.
select name, paused_seconds, reason, budget_spent from health_upstreams order by name;

-- name: newest_migration
-- Null before the first one.
select max(version) from schema_migrations;
