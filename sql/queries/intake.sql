-- What web writes: events and rejected deliveries. The rows of a batch are one JSON array (EventRow): one
-- parameter costs web less CPU than six arrays. Ids come from the caller, so that a batch whose COMMIT was
-- not answered can be written again and recognises itself.

-- name: insert_events
-- The rows come in the order of their keys: two batches that share keys then wait for each other instead of
-- deadlocking.
insert into webhook_events (id, lead_id, updated_at, hook_action, payload_raw, request_id)
select given.id, given.lead_id, given.updated_at, given.hook_action, given.payload, given.request_id
  from jsonb_to_recordset(%(rows)s::jsonb)
         as given (id uuid, lead_id text, updated_at timestamptz, hook_action text, payload jsonb,
                   request_id text)
on conflict (lead_id, updated_at) do nothing
returning id;

-- name: compare_with_stored
-- For events that were not inserted. A statement of its own: the row that was in the way may be younger than
-- the insert's snapshot.
select stored.id, stored.verdict, stored.next_at
  from (select array_agg(id) as ids, array_agg(lead_id) as lead_ids, array_agg(delivered_at) as updated_ats,
               array_agg(hook_action) as hook_actions, array_agg(payload) as payloads
          from jsonb_to_recordset(%(rows)s::jsonb)
                 as row (id uuid, lead_id text, delivered_at timestamptz, hook_action text, payload jsonb)
       ) given,
       stored_deliveries(given.ids, given.lead_ids, given.updated_ats, given.hook_actions, given.payloads)
         stored;

-- name: read_values
-- Whether the database takes these values at all: their part of insert_events without the rest.
select count(*)
  from jsonb_to_recordset(%(rows)s::jsonb)
         as given (id uuid, lead_id text, updated_at timestamptz, hook_action text, payload jsonb,
                   request_id text);

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
