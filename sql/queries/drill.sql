-- What the drill does to the database's connections, and what its audit reads at the end.

-- name: cut_connections
-- About half of ours, whatever they are doing.
select count(pg_terminate_backend(pid))
  from pg_stat_activity
 where datname = current_database() and pid <> pg_backend_pid() and starts_with(application_name, 'c2s-enrich ') and random() < 0.5

-- name: cut_listeners
-- Every NOTIFY until they listen again is lost.
select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and application_name = 'c2s-enrich listener'

-- name: count_open
select count(*) from webhook_events where status in ('received', 'processing')

-- name: send_through_again
-- As an operator would, those that by design wait for a person: nobody could read the answers of an upstream.
update webhook_events set status = 'received' where status = 'failed' and error_kind in ('upstream_unreadable', 'delivery_unclear')

-- name: audited_events
-- Each claim and each end of one raises the token, and so does sending a failed event through again.
select e.lead_id, e.updated_at, e.status, e.error_kind, h.completions::integer as completions,
       (e.lease_token - 2 * h.claims - h.failures)::integer as unaccounted
  from webhook_events e
 cross join lateral (
       select count(*) as claims, count(*) filter (where result = 'completed') as completions,
              count(*) filter (where result = 'failed') as failures
         from event_attempts a where a.event_id = e.id) h

-- name: audited_messages
select lead_id, ref, status from lead_messages
