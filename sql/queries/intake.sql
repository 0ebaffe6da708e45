-- What web writes: events and rejected deliveries. Every list has one entry for each row; ids come from the
-- caller, so that a batch whose COMMIT was not answered can be written again and still be told from somebody
-- else's.

-- name: insert_events
-- The rows come in the order of their keys: two batches that share keys then wait for each other instead of
-- deadlocking.
insert into webhook_events (id, lead_id, updated_at, hook_action, payload_raw, max_attempts)
select given.id, given.lead_id, given.updated_at, given.hook_action, given.payload, %(max_attempts)s::integer
  from unnest(%(ids)s::uuid[], %(lead_ids)s::text[], %(updated_ats)s::timestamptz[], %(hook_actions)s::text[],
              %(payloads)s::jsonb[]) as given (id, lead_id, updated_at, hook_action, payload)
on conflict (lead_id, updated_at) do nothing
returning id;

-- name: compare_with_stored
-- For events that were not inserted. A statement of its own: the row that was in the way may be younger than
-- the insert's snapshot.
select id, verdict
  from stored_deliveries(%(ids)s::uuid[], %(lead_ids)s::text[], %(updated_ats)s::timestamptz[],
                         %(payloads)s::jsonb[]);

-- name: keep_rejected
insert into rejected_deliveries (id, raw, reason, detail, lead_id, headers)
select given.id, given.raw, given.reason, given.detail, given.lead_id, given.headers
  from unnest(%(ids)s::uuid[], %(raws)s::bytea[], %(reasons)s::text[], %(details)s::text[],
              %(lead_ids)s::text[], %(headers)s::jsonb[]) as given (id, raw, reason, detail, lead_id, headers)
on conflict do nothing;
