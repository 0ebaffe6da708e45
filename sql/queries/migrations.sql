-- What `c2s-enrich migrate` asks and keeps. The owner of the schema runs it; no role of a process needs to.

-- name: use_our_schema
-- Our schema, and nothing that a session could put in front of it: the functions keep this path.
select set_config('search_path', quote_ident(current_schema()) || ', pg_temp', false),
       set_config('lock_timeout', %(lock_wait)s::text, false);

-- name: find_migrations_table
select to_regclass('schema_migrations');

-- name: applied
select version, checksum
  from schema_migrations;

-- name: note_applied
insert into schema_migrations (version, name, checksum)
values (%(version)s, %(name)s, %(checksum)s)
on conflict do nothing;

-- name: blockers
-- Who holds what session %(waiting)s waits for.
select string_agg(format('session %%s of %%s (%%s, %%s for %%s s)', s.pid, s.usename,
                         coalesce(nullif(s.application_name, ''), 'no name'), s.state,
                         extract(epoch from clock_timestamp() - s.xact_start)::integer), ', ')
  from unnest(pg_blocking_pids(%(waiting)s::integer)) as b (pid)
  join pg_stat_activity s using (pid);
