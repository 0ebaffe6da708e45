-- What web writes: events and rejected deliveries. Every list has one entry for each row; ids come from the
-- caller, so that a batch whose COMMIT was not answered can be written again and recognises itself.

-- name: insert_events
-- The rows come in the order of their keys: two batches that share keys then wait for each other instead of
-- deadlocking.
insert into webhook_events (id, lead_id, updated_at, hook_action, payload_raw, request_id)
select given.id, given.lead_id, given.updated_at, given.hook_action, given.payload, given.request_id
  from unnest(%(ids)s::uuid[], %(lead_ids)s::text[], %(updated_ats)s::timestamptz[],
              %(hook_actions)s::text[], %(payloads)s::jsonb[], %(request_ids)s::text[])
         as given (id, lead_id, updated_at, hook_action, payload, request_id)
on conflict (lead_id, updated_at) do nothing
returning id;

-- name: compare_with_stored
-- For events that were not inserted. A statement of its own: the row that was in the way may be younger than
-- the insert's snapshot.
select id, verdict, next_at
  from stored_deliveries(%(ids)s::uuid[], %(lead_ids)s::text[], %(updated_ats)s::timestamptz[],
                         %(hook_actions)s::text[], %(payloads)s::jsonb[]);

-- name: read_values
-- Whether the database takes these values at all: their part of insert_events without the rest.
select count(*)
  from unnest(%(ids)s::uuid[], %(lead_ids)s::text[], %(updated_ats)s::timestamptz[],
              %(hook_actions)s::text[], %(payloads)s::jsonb[]);

-- name: known_leads
-- Which of these leads have events. Ids are all that web may read.
select given.lead_id
  from unnest(%(lead_ids)s::text[]) as given (lead_id)
 where exists (select from webhook_events event where event.lead_id = given.lead_id);

-- name: count_intake
select count_intake(%(delivered)s::integer, %(duplicates)s::integer, %(refused)s::integer,
                    %(rejected)s::integer);

-- name: keep_rejected
-- False: there is no room for more.
select keep_rejected(%(ids)s::uuid[], %(raws)s::bytea[], %(reasons)s::text[], %(details)s::text[],
                     %(lead_ids)s::text[], %(headers)s::jsonb[]);
