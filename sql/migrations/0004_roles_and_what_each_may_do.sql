-- Four roles, so that the process which faces the internet can do no harm: it adds deliveries and reads
-- nobody's data.
--
-- How to use them: the roles cannot log in. Give each process a login of its own and put it into its role,
-- for example
--   create user c2s_web_login password '…' in role c2s_web;
-- and put that login into the process's DATABASE_URL. Migrations run as the owner of the tables, as does
-- everything where one login is enough. A hosted Postgres may not let the owner create roles: then this
-- migration says so and goes on. Create them with the provider's tools and run `select grant_roles();` as the
-- owner.

do $$
declare
  wanted text;
begin
  foreach wanted in array array['c2s_web', 'c2s_poller', 'c2s_ops', 'c2s_reader'] loop
    begin
      if not exists (select from pg_roles where rolname = wanted) then
        execute format('create role %I nologin', wanted);
      end if;
    exception
      -- Roles belong to the server: another database of it may be migrating at this moment.
      when duplicate_object or unique_violation then null;
      when insufficient_privilege then
        raise notice 'role % not created: % may not create roles. Create it with your provider''s tools, '
          'then run: select grant_roles();', wanted, current_user;
    end;
  end loop;
end $$;

-- What each role may do, as a table. The columns that web may read are those of ON CONFLICT and RETURNING.
create function grant_roles() returns void language plpgsql set search_path from current as $$
declare
  home  text := current_schema();
  ours  text := (select string_agg(quote_ident(relname), ', ') from pg_class
                  where relnamespace = home::regnamespace and relkind in ('r', 'v')
                    and relowner = (select relowner from pg_class where oid = 'webhook_events'::regclass));
  -- For analysts and dashboards: neither a payload nor a CPF, masked or not.
  views text := (select string_agg(quote_ident(relname), ', ') from pg_class
                  where relnamespace = home::regnamespace and relkind = 'v' and relname like 'v\_%'
                    and relname not in ('v_people', 'v_leads'));
  held  text;
  may   text;
  on_it text;
begin
  -- Who may create in this schema could put a table or a function of their own in front of ours. (Before
  -- Postgres 15 everybody could, and a dump from there brings it along.)
  execute format('revoke create on schema %I from public', home);
  if has_schema_privilege('public', home, 'create') then
    raise warning 'every login may create tables in schema %: its owner must run '
      '`revoke create on schema % from public`', home, home;
  end if;
  revoke execute on function stored_deliveries, keep_rejected, count_intake, keep_lead_erased,
    keep_reject_erased, admit_call, ask, database_state, sent_in_order, grant_roles
    from public;

  for held in select rolname from pg_roles where rolname in ('c2s_web', 'c2s_poller', 'c2s_ops', 'c2s_reader')
  loop
    execute format('revoke all on %s from %I', ours, held);
    execute format('grant usage on schema %I to %I', home, held);
    for may, on_it in
      select g.may, g.on_it
        from (values
          ('all', 'select', 'schema_migrations, health_queue, health_upstreams, health_last_hour, '
            'health_silence, health_rejects, v_hit_rate, intake_minutes'),

          ('web ops', 'insert (id, lead_id, updated_at, hook_action, payload_raw, request_id)',
            'webhook_events'),
          ('web ops', 'select (id, lead_id, updated_at)', 'webhook_events'),
          ('web ops', 'execute', 'function stored_deliveries, keep_rejected'),
          ('web', 'execute', 'function count_intake'),
          -- Whoever finds a problem says so, once for all processes.
          ('web ops', 'select, insert, update, delete', 'alerts, duties'),

          ('poller', 'select, insert, update, delete',
            'webhook_events, event_attempts, leads, lead_messages, upstreams, pollers, duties, alerts'),
          ('poller', 'select, insert, update, delete',
            'people, contact_lookups, answers_under_way, paid_calls, lead_people'),
          ('poller ops', 'select, insert, update', 'hash_key, restores, read_backs'),
          ('poller', 'select, insert, update, delete',
            'person_phones, person_emails, person_addresses, person_companies'),
          ('poller ops', 'execute', 'function admit_call, ask, database_state, sent_in_order'),
          ('poller', 'select, delete', 'rejected_deliveries'),
          ('poller', 'update (raw, detail)', 'rejected_deliveries'),
          ('poller', 'select, insert', 'erased_leads, erasures'),
          ('poller', 'select', 'suppressions'),
          ('poller', 'select, update', 'operator_actions'),

          ('ops', 'select', ours),
          -- Reprocessing is a change of status; its trigger writes the history. Pausing and resuming are rows
          -- of upstreams.
          ('ops', 'update (status, error_kind, error_message)', 'webhook_events'),
          ('ops', 'insert, update', 'operator_actions'),
          ('ops', 'update (available_at, waiting_for, waiting_reason)', 'webhook_events'),
          ('ops', 'insert', 'event_attempts'),
          ('ops', 'update', 'upstreams'),
          ('ops', 'update (replayed_at, dismissed_at)', 'rejected_deliveries'),
          -- Erasing, and the list of who must not be processed.
          ('ops', 'update (hook_action, payload_raw, payload_removed_at, outcome, outcome_detail, '
            'fingerprint, losses, reprocess)', 'webhook_events'),
          ('ops', 'update (error_message)', 'event_attempts'),
          ('ops', 'update, delete', 'leads, lead_messages'),
          ('ops', 'delete', 'lead_people, contact_lookups, answers_under_way, people'),
          ('ops', 'delete', 'person_phones, person_emails, person_addresses, person_companies'),
          ('ops', 'delete', 'rejected_deliveries'),
          ('ops', 'insert', 'erased_leads, erasures'),
          ('ops', 'insert, delete', 'suppressions'),
          ('ops', 'insert, update', 'subscriptions'),
          ('ops', 'insert, update, delete', 'muted_errors'),
          -- A record that is to be asked for again.
          ('ops', 'update (expires_at)', 'people, contact_lookups'),

          ('reader', 'select', views)
        ) as g (who, may, on_it)
       where g.who = 'all' or substr(held, 5) = any(string_to_array(g.who, ' '))
    loop
      execute format('grant %s on %s to %I', may, on_it, held);
    end loop;
  end loop;
end $$;
comment on function grant_roles is
  'Gives the roles that exist what they need, no more. To be run again by the owner after roles were '
  'created later.';

select grant_roles();

alter table alerts enable row level security;
-- Who may not read leads does not learn which of them are worth most.
create policy alerts_about_leads on alerts
  using (scope <> 'leads' or has_table_privilege('leads'::regclass, 'select'));
