-- What /health, /readyz and `c2s-enrich rejects` ask.

-- name: health_queue
-- One row of numbers.
select oldest_due_seconds, pollers_beating, pollers_silent, messages_unclear from health_queue

-- name: health_upstreams
-- Every upstream; paused_seconds is null where it was never paused and 0 where its pause has ended.
select name, paused_seconds, reason, budget_spent from health_upstreams order by name

-- name: newest_migration
-- Null before the first one.
select max(version) from schema_migrations

-- name: list_rejects
-- Newest first, without the bytes.
select id, received_at, reason, detail, lead_id, length(raw) as size, replayed_at
from rejected_deliveries
where (%(waiting_only)s::boolean is not true or replayed_at is null)
  and (%(reason)s::text is null or reason = %(reason)s::text)
order by received_at desc, id
limit %(limit)s::integer

-- name: get_rejects
-- Whole, oldest first: a replay stores them in the order in which they came.
select id, received_at, reason, detail, lead_id, length(raw) as size, replayed_at, raw, headers
from rejected_deliveries
where id = any(%(ids)s::uuid[])
order by received_at, id

-- name: mark_replayed
-- Once: the first replay's time stays.
update rejected_deliveries set replayed_at = now() where id = %(id)s::uuid and replayed_at is null
