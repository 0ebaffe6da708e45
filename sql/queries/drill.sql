-- What the drill does to the database's connections and, as an operator, to its rows; and what its audit
-- reads at the end.

-- name: keep_diary
-- The drill's own table: every reset of a row by hand, with the status and the token that it met. A reset
-- writes it in its own statement, so that the diary knows of a reset if and only if it was committed.
create table if not exists drill_resets as
select id as event_id, lease_token, status from webhook_events where false;

-- name: cut_connections
-- About half of ours, whatever they are doing.
select count(pg_terminate_backend(pid))
  from pg_stat_activity
 where datname = current_database() and pid <> pg_backend_pid()
   and starts_with(application_name, 'c2s-enrich ') and random() < 0.5;

-- name: cut_listeners
-- Every NOTIFY until they listen again is lost.
select count(pg_terminate_backend(pid))
  from pg_stat_activity
 where datname = current_database() and starts_with(application_name, 'c2s-enrich pulse ');

-- name: count_open
select count(*) from webhook_events where status in ('received', 'processing');

-- name: reset_some
-- By hand, rows of every status as chance has it, whatever is done with them just now; null `most`: every row
-- at once.
with chosen as materialized (
  select id, lease_token, status from webhook_events
   where id in (select id from webhook_events order by random() limit %(most)s)
   order by id for update
), noted as (
  insert into drill_resets (event_id, lease_token, status) select id, lease_token, status from chosen
)
update webhook_events e set status = 'received' from chosen c where e.id = c.id;

-- name: proven_read_backs
select count(*) from read_backs where proven_at is not null;

-- name: note_reset
-- A verdict is about to send what waits for it through again: all of the lead that failed as unclear.
insert into drill_resets (event_id, lease_token, status)
select id, lease_token, status from webhook_events
 where lead_id = %(lead_id)s and status = 'failed' and error_kind = 'delivery_unclear';

-- name: send_through_again
-- As an operator would, those that by design wait for a person: nobody could read the answers of an upstream,
-- or they waited for another event's message, which is clear by now.
with chosen as materialized (
  select id, lease_token, status from webhook_events e
   where status = 'failed'
     and (error_kind = 'upstream_unreadable'
          or error_kind = 'delivery_unclear'
             and not exists (select from lead_messages m
                              where m.lead_id = e.lead_id and m.status = 'sending'))
   order by id for update
), noted as (
  insert into drill_resets (event_id, lease_token, status) select id, lease_token, status from chosen
)
update webhook_events e set status = 'received' from chosen c where e.id = c.id;

-- name: hold_some
-- Locks a few rows for as long as the transaction lasts, and holds back vacuum as long.
select id from webhook_events where status = %(status)s order by random() limit 5 for update skip locked;

-- name: refused_credentials
-- Upstreams that stay paused although their credential may have been mended: looking for that often is a
-- person's business.
select name from upstreams where paused_until > now() and starts_with(reason, 'credential refused');

-- name: audited_events
-- Each claim and each end of one raises the token, and so does the reset of a row on which nobody works;
-- where somebody does, the reset is the claim's end. A reset of a completed event takes that completion back.
select e.lead_id, e.updated_at, e.status, e.error_kind,
       (coalesce(h.completions, 0) - coalesce(r.completions, 0))::integer as completions,
       (e.lease_token - 2 * coalesce(h.claims, 0) - coalesce(r.of_nobodys, 0))::integer as unaccounted,
       coalesce(h.bugs, 0)::integer as bugs
  from webhook_events e
  left join (select event_id, count(*) as claims, count(*) filter (where result = 'completed') as completions,
                    count(*) filter (where error_kind = 'bug') as bugs
               from event_attempts group by event_id) h on h.event_id = e.id
  left join (select event_id, count(*) filter (where status <> 'processing') as of_nobodys,
                    count(*) filter (where status = 'completed') as completions
               from drill_resets group by event_id) r on r.event_id = e.id;

-- name: audited_messages
select lead_id, ref, status from lead_messages;

-- name: post_event
-- What intake would have stored.
insert into webhook_events (lead_id, updated_at, hook_action, payload_raw)
values (%(lead_id)s, %(updated_at)s, 'on_create_lead', %(payload)s::jsonb) returning id;

-- name: reset_one
-- An operator sends this event through again, whatever is done with it just now.
with chosen as materialized (
  select id, lease_token, status from webhook_events where id = %(event_id)s for update
), noted as (
  insert into drill_resets (event_id, lease_token, status) select id, lease_token, status from chosen
)
update webhook_events e set status = 'received' from chosen c where e.id = c.id;

-- name: pass_time
-- So much time goes by for one event, its message and the upstreams: what was to come is nearer, what has
-- been is longer ago. A suspect is none here: each attempt has its process to itself anyway.
with event as (
  update webhook_events
     set available_at = available_at - %(time)s::interval, claimed_at = claimed_at - %(time)s::interval,
         lease_expires_at = lease_expires_at - %(time)s::interval,
         deadline_at = deadline_at - %(time)s::interval, losses = least(losses, 1)
   where id = %(event_id)s
), message as (
  update lead_messages set sending_at = sending_at - %(time)s::interval where event_id = %(event_id)s
)
update upstreams
   set paused_until = paused_until - %(time)s::interval, probing_until = probing_until - %(time)s::interval,
       next_slot_at = next_slot_at - %(time)s::interval
 where paused_until is not null;

-- name: stands
-- Where the event stands, and how long it waits until it may be claimed (null where that is not what it
-- waits for).
select status, case when status = 'received' then greatest(available_at - clock_timestamp(), interval '0') end
  from webhook_events where id = %(event_id)s;

-- name: fill_disk
-- From here on, for as long as this session lasts: see sql/drill/full_disk.sql.
select pg_advisory_lock(53100);

-- name: reload
select pg_reload_conf();

-- name: standby_has_all
-- A row once the standby is waited for and has what was committed before.
select pid from pg_stat_replication where sync_state = 'sync' and flush_lsn >= pg_current_wal_lsn();

-- name: promote
select pg_promote();
