-- What `c2s-enrich rejects` asks and does. A replay is one transaction for each rejected delivery: its events
-- and its mark together.

-- name: list_rejects
-- Newest first, without the bytes, from behind the one named `after`. A null limit means all of them.
select id, received_at, reason, detail, lead_id, length(raw) as size, replayed_at, times, last_received_at,
       dismissed_at
  from rejected_deliveries
 where (%(waiting_only)s::boolean is not true or replayed_at is null and dismissed_at is null)
   and (%(reason)s::text is null or reason = %(reason)s::text)
   and (%(after)s::uuid is null
        or (last_received_at, id) < (select last_received_at, id from rejected_deliveries
                                      where id = %(after)s::uuid))
 order by last_received_at desc, id desc
 limit %(limit)s::integer;

-- name: get_reject
-- Whole. Held to the end of a transaction: of two replays at once the second one finds the first one's mark.
select id, received_at, reason, detail, lead_id, length(raw) as size, replayed_at, times, last_received_at,
       dismissed_at, raw, headers
  from rejected_deliveries
 where id = %(id)s::uuid
   for update;

-- name: insert_replayed
-- `updated_at` is the event's own time, or what compare_replayed answered where another body has that.
insert into webhook_events (lead_id, updated_at, hook_action, payload_raw)
values (%(lead_id)s, %(updated_at)s::timestamptz, %(hook_action)s, %(payload)s::jsonb)
on conflict (lead_id, updated_at) do nothing
returning id;

-- name: compare_replayed
-- How the event relates to those that hold its key; intake's own judgement. No row: the one in the way is
-- gone.
select verdict, next_at
  from stored_deliveries(array[null::uuid], array[%(lead_id)s::text], array[%(updated_at)s::timestamptz],
                         array[%(hook_action)s::text], array[%(payload)s::jsonb]);

-- name: mark_replayed
-- Once: the first replay's time stays.
update rejected_deliveries set replayed_at = now() where id = %(id)s::uuid and replayed_at is null;

-- name: dismiss_rejects
-- A person decided that nothing is to be done about these. What was replayed or dismissed before stays as it
-- is.
update rejected_deliveries set dismissed_at = now()
 where id = any(%(ids)s::uuid[]) and replayed_at is null and dismissed_at is null
returning id;
