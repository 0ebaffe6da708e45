-- What a new session is given, and what a login behind a transaction pooler is given once.

-- name: apply
-- Sets what this server knows of it, in one round trip. A stronger synchronous_commit stays.
select set_config(name, wanted, false)
  from unnest(%(names)s::text[], %(wanted)s::text[]) as w (name, wanted)
 where current_setting(name, true) is not null
   and (name, current_setting(name)) <> ('synchronous_commit', 'remote_apply');

-- name: lock_login
select pg_advisory_xact_lock(4210777002);

-- name: missing
-- What the login lacks, each with the statement that gives it. A stronger synchronous_commit stays.
select name, format('alter role session_user in database %%I set %%I = %%L', current_database(), name, fit)
  from unnest(%(names)s::text[], %(wanted)s::text[]) as w (name, wanted)
  left join (select split_part(had, '=', 1), substr(had, strpos(had, '=') + 1)
               from pg_db_role_setting s
               join pg_database d on d.oid = s.setdatabase,
                    unnest(s.setconfig) as had
              where d.datname = current_database() and s.setrole = session_user::regrole) as l (name, had)
         using (name),
       coalesce(case when name = 'synchronous_commit' and 'remote_apply' in (current_setting(name), had)
                     then 'remote_apply' end, wanted) as f (fit)
 where current_setting(name, true) is not null and had is distinct from fit;

-- name: end_sessions_before_the_change
-- What the pooler has open keeps what it began with. This session ends too; the pool tries again.
-- A pulse is a direct session, and its end would mean a dead poller. The others end first, and are waited
-- for, so that the pooler does not lend one that is about to end.
select pg_terminate_backend(pid, case when pid = pg_backend_pid() then 0 else 2000 end)
  from pg_stat_activity
 where usename = session_user and datname = current_database()
   and starts_with(application_name, 'c2s-enrich')
   and not starts_with(application_name, 'c2s-enrich pulse')
   and (state = 'idle' or pid = pg_backend_pid())
 order by pid = pg_backend_pid();

-- name: end_old_session
-- One that was busy meanwhile began before the login had its settings: it ends now.
select pg_terminate_backend(pg_backend_pid())
  from pg_settings
 where name = 'synchronous_commit' and source <> 'database user';

-- name: facts
-- What makes a database unfit for us, where it is otherwise.
select current_setting('server_encoding') as encoding, current_schema() as schema,
       current_setting('session_replication_role') as session_replication_role,
       current_setting('synchronous_commit') as synchronous_commit,
       current_setting('default_transaction_isolation') as default_transaction_isolation;
