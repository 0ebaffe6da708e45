-- What an operator asks of events and messages. `filter` is the words of ops/filters.py as JSON; see
-- matching_events.

-- name: list_events
-- Newest first, a page at a time: from behind the event `after`, the last one of the page before, down to
-- `floor` (null: to the end).
select event_id, lead_id, hook_action, status, outcome, attempts, max_attempts, received_at, processed_at,
       available_at, waiting_for, waiting_reason, error_kind, error_message, error_group
  from matching_events(%(filter)s::jsonb)
 where (%(floor)s::timestamptz is null or received_at >= %(floor)s::timestamptz)
   and (%(after)s::uuid is null
        or received_at <= (select received_at from webhook_events where id = %(after)s::uuid)
       and (received_at, event_id) < (select received_at, id from webhook_events where id = %(after)s::uuid))
 order by received_at desc, event_id desc
 limit %(limit)s::integer;

-- name: search_floor
-- Where a search that no index helps stops for now: `most` events behind `after`. No row: it reaches the end.
-- Reads an index alone.
select floor.received_at, (select id from webhook_events e where e.received_at = floor.received_at
                            order by id limit 1) as event_id
  from (select received_at from webhook_events
         where %(after)s::uuid is null
            or received_at <= (select received_at from webhook_events where id = %(after)s::uuid)
         order by received_at desc offset %(most)s::integer limit 1) floor;

-- name: count_events
-- Up to one more than is counted, down to `floor` (null: to the end).
select count(*)
  from (select from matching_events(%(filter)s::jsonb)
         where %(floor)s::timestamptz is null or received_at >= %(floor)s::timestamptz
         limit %(most)s::integer + 1) counted;

-- name: refs_of_events
select event_id, ref, status from lead_messages where event_id = any(%(events)s::uuid[]);

-- name: event_history
-- Every claim of one event that has ended, oldest first.
select attempt, worker, started_at, finished_at, result, outcome, error_kind, error_message, steps, calls
  from event_attempts where event_id = %(event_id)s order by started_at, lease_token;

-- name: error_groups
-- Only what has an error; at most the newest 10,000, so that an outage of a day is still answered at once.
-- over_time counts each group's events in twelve equal parts of the time in which all of these were received.
with newest as materialized (
  select event_id, lead_id, error_group, received_at, processed_at
    from matching_events(%(filter)s::jsonb)
   where error_kind is not null
   order by received_at desc limit 10000
), span as (
  select extract(epoch from min(received_at))::float8 as first,
         extract(epoch from max(received_at))::float8 as last
    from newest
), grouped as (
  select error_group, count(*) as events, count(distinct lead_id) as leads,
         min(received_at) as first_at, max(received_at) as newest_at,
         (array_agg(event_id order by received_at desc))[1] as newest_event,
         bool_or(processed_at is null or processed_at > now() - interval '15 minutes') as still_failing,
         array_agg(width_bucket(extract(epoch from received_at)::float8, first, last + 1, 12)) as parts
    from newest, span
   group by error_group
   order by events desc, newest_at desc
   limit 100
)
select g.error_group, e.error_kind, e.error_upstream, e.error_step, g.events, g.leads, g.first_at,
       g.newest_at, e.error_message as newest_message, g.newest_event, g.still_failing,
       m.muted_since,
       array(select count(p)::integer from generate_series(1, 12) as b left join unnest(g.parts) as p on p = b
              group by b order by b) as over_time
  from grouped g
  join v_events e on e.event_id = g.newest_event
  left join v_muted m on m.error_group = g.error_group
 order by g.events desc, g.newest_at desc;

-- name: mute
-- Its week begins again where it is muted already. No row: no event has this error.
with over as (
  delete from muted_errors where muted_at < now() - interval '7 days' and error_group <> %(error)s
)
insert into muted_errors (error_group)
select %(error)s where exists (select from webhook_events where error_group = %(error)s)
on conflict (error_group) do update set muted_at = excluded.muted_at;

-- name: unmute
delete from muted_errors where error_group = %(error)s;

-- name: receive_again
-- After a verdict: the message's event, and each of the lead that failed because it was unclear. The
-- operator's own command; the trigger on the table does the rest.
update webhook_events e set status = 'received'
  from lead_messages m
 where m.id = %(message_id)s and e.lead_id = m.lead_id
   and (e.id = m.event_id or (e.status = 'failed' and e.error_kind = 'delivery_unclear'));

-- name: open_messages
-- Messages that are not proven to be delivered, with the event that waits for each; oldest first.
select m.id, m.lead_id, m.ref, m.status, m.sends, m.looks, m.created_at, m.sending_at,
       e.id as event_id, e.status as event_status, e.error_kind as event_error_kind
  from lead_messages m left join webhook_events e on e.id = m.event_id
 where m.status <> 'sent'
 order by m.created_at
 limit %(limit)s::integer;

-- name: judge_not_delivered
-- A person looked at the lead: the message is not there. It may be sent (again) when its event is
-- reprocessed.
update lead_messages
   set status = 'pending', sends = 0, looks = 0
 where id = %(message_id)s and status = 'sending';

-- name: judge_delivered
-- A person looked at the lead: the message is there.
update lead_messages
   set status = 'sent', sending_at = coalesce(sending_at, now()), sent_at = now(), proof = 'person'
 where id = %(message_id)s and status <> 'sent';
