-- What /health and /readyz ask.

-- name: health_queue
-- One row of numbers.
select oldest_due_seconds, waiting, in_flight, leases_over, pollers_beating, pollers_silent, messages_pending,
       messages_sending, messages_unclear, messages_to_look_up, read_back_unproven, rejects_waiting,
       read_only, guards_off
  from health_queue;

-- name: health_upstreams
-- Every upstream; paused_seconds is null where it was never paused and 0 where its pause has ended.
select name, paused_seconds, reason, calls_today, daily_budget, waiting, put_off
  from health_upstreams order by name;

-- name: health_last_hour
-- One row. rejects_share is the part of their room that rejected deliveries fill.
select h.ended, h.failed, h.failed_kinds, h.muted, h.claims_lost, h.unproven,
       r.bytes::double precision / r.room as rejects_share
  from health_last_hour h, health_rejects r;

-- name: health_silence
-- No row before the first webhook.
select silent_seconds, weeks, usual, business_hours from health_silence;

-- name: newest_migration
-- Null before the first one.
select max(version) from schema_migrations;

-- name: server
-- What doctor wants to know of the other end; `here` is the time by its own clock.
select major, major not between 14 and 18 as unknown, encoding, encoding <> 'UTF8' as badly_encoded,
       apart, apart > 2 as late,
       current_setting('transaction_read_only') = 'on' as read_only,
       session_user as login,
       current_database() || ' of the server that began ' || pg_postmaster_start_time() as place,
       (select string_agg(name, ', ')
          from unnest(array['fsync', 'full_page_writes', 'synchronous_commit']) as name
         where current_setting(name) = 'off') as off,
       (select string_agg(name, ', ') from unnest(array['c2s_web', 'c2s_poller', 'c2s_ops']) as name
         where to_regrole(name) is null) as missing,
       not coalesce((select bool_or(pg_has_role(session_user, oid, 'member'))
                       from pg_roles
                      where rolname in ('c2s_web', 'c2s_poller', 'c2s_ops')
                         or oid = (select relowner
                                     from pg_class
                                    where oid = to_regclass('webhook_events'))), false) as stranger,
       exists (select from pg_roles
                where rolname = 'c2s_web'
                  and has_schema_privilege(oid, current_schema()::regnamespace, 'create')) as web_creates
  from (select current_setting('server_version_num')::integer / 10000 as major,
               pg_encoding_to_char(encoding) as encoding,
               abs(extract(epoch from clock_timestamp() - %(here)s::timestamptz))::float8 as apart
          from pg_database where datname = current_database()) as server;

-- name: subscribed
insert into subscriptions (action, address) values (%(action)s, %(address)s)
on conflict (action) do update set address = excluded.address, asked_at = now();

-- name: subscriptions
select action, address, asked_at from subscriptions order by action;

-- name: set_up
-- What a person found out about who can see a message on a lead (null until somebody looked), where C2S was
-- asked to deliver, and whether a web process posts alerts.
select (select filter ->> 'who' from operator_actions
         where verb = 'visible_to' order by at desc limit 1) as visible_to,
       (select max(address) from subscriptions where address <> '') as hook,
       exists (select from duties
                where name = 'alerts of web' and began_at > now() - interval '5 minutes') as web_alerts;
