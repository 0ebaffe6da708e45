-- What /health and /readyz ask.

-- name: health_queue
-- One row of numbers.
select oldest_due_seconds, waiting, in_flight, leases_over, pollers_beating, pollers_silent, messages_pending,
       messages_sending, messages_unclear, rejects_waiting, read_only
  from health_queue;

-- name: health_upstreams
-- Every upstream; paused_seconds is null where it was never paused and 0 where its pause has ended.
select name, paused_seconds, reason, calls_today, daily_budget from health_upstreams order by name;

-- name: health_last_hour
-- One row. rejects_share is the part of their room that rejected deliveries fill.
select h.ended, h.failed, h.failed_kinds, h.claims_lost, h.unproven,
       r.bytes::double precision / r.room as rejects_share
  from health_last_hour h, health_rejects r;

-- name: health_silence
-- No row before the first webhook.
select silent_seconds, weeks, usual, business_hours from health_silence;

-- name: newest_migration
-- Null before the first one.
select max(version) from schema_migrations;

-- name: server
-- What doctor wants to know of the other end.
select current_setting('server_version_num')::integer / 10000 as major,
       (select pg_encoding_to_char(encoding) from pg_database where datname = current_database()) as encoding,
       current_setting('transaction_read_only') = 'on' as read_only,
       coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)
         or inet_server_addr() is null or inet_server_addr() << '127.0.0.0/8' as encrypted,
       clock_timestamp() as now;

-- name: subscribed
insert into subscriptions (action, address) values (%(action)s, %(address)s)
on conflict (action) do update set address = excluded.address, asked_at = now();

-- name: subscriptions
select action, address, asked_at from subscriptions order by action;

-- name: visibility
-- What a person found out about who can see a message on a lead; no row until somebody looked.
select filter ->> 'who' as who, actor, at from operator_actions
 where verb = 'visible_to' order by at desc limit 1;
