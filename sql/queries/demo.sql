-- What the demo shows and checks.

-- name: progress
-- Every event with its last attempt's steps, newest first.
select e.lead_id, e.updated_at, e.status, e.outcome, e.error_message, e.attempts,
       e.available_at > now() as waits,
       (select a.steps from event_attempts a
         where a.event_id = e.id
         order by a.finished_at desc limit 1) as steps,
       extract(epoch from coalesce(e.processed_at, now()) - e.received_at)::float8 as seconds
  from webhook_events e
 order by e.received_at desc, e.id;
