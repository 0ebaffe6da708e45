-- Three roles, so that the process which faces the internet can do no harm: it adds deliveries and reads nobody's data.
--
-- How to use them: the roles cannot log in. Give each process a login of its own and put it into its role, for example
--   create user c2s_web_login password '…' in role c2s_web;
-- and put that login into the process's DATABASE_URL. Migrations run as the owner of the tables, as does everything where one
-- login is enough. A hosted Postgres may not let the owner create roles: then this migration says so and goes on. Create them
-- with the provider's tools and run `select grant_roles();` as the owner.

do $$
declare
  wanted text;
begin
  foreach wanted in array array['c2s_web', 'c2s_poller', 'c2s_ops'] loop
    begin
      if not exists (select from pg_roles where rolname = wanted) then
        execute format('create role %I nologin', wanted);
      end if;
    exception
      -- Roles belong to the server: another database of it may be migrating at this moment.
      when duplicate_object or unique_violation then null;
      when insufficient_privilege then
        raise notice 'role % not created: % may not create roles. Create it otherwise, then run: select grant_roles();', wanted, current_user;
    end;
  end loop;
end $$;

-- What intake needs to know of events that are already there, and no more: it shows a payload only to who already has it.
create function stored_deliveries(ids uuid[], lead_ids text[], updated_ats timestamptz[], payloads jsonb[])
returns table (id uuid, verdict text) language sql volatile security definer as $$
  select given.id,
         case when event.id = given.id then 'stored' when event.payload_raw = given.payload then 'duplicate' else 'same_key_other_body' end
  from unnest(ids, lead_ids, updated_ats, payloads) as given (id, lead_id, updated_at, payload)
  join webhook_events event on event.lead_id = given.lead_id and event.updated_at = given.updated_at
$$;
comment on function stored_deliveries is
  'How each given event relates to the stored one of the same key: it is that one, has an equal payload, or another. Runs as its owner.';
revoke execute on function stored_deliveries from public;
do $$
begin
  -- pg_temp last: else a caller's temporary table could stand in for ours while this runs with its owner's rights.
  execute format('alter function stored_deliveries set search_path = %I, pg_temp', current_schema());
end $$;

create view health_queue as
select
  -- Two look-ups, one for each of the claim's indexes; a plain min() over both would read every waiting row.
  extract(epoch from now() - least(
    (select available_at from webhook_events where status = 'received' and not suspect and available_at <= now() order by available_at limit 1),
    (select available_at from webhook_events where status = 'received' and suspect and available_at <= now() order by available_at limit 1)
  ))::double precision as oldest_due_seconds,
  (select count(*)::integer from pollers where beat_at > now() - interval '1 minute') as pollers_beating,
  (select count(*)::integer from pollers where beat_at <= now() - interval '1 minute') as pollers_silent,
  (select count(*)::integer from lead_messages where status = 'sending' and sending_at < now() - interval '10 minutes') as messages_unclear;
comment on view health_queue is 'What /health says about the queue: numbers only, no lead and no person. Seconds; null where nothing is due.';

create view health_upstreams as
select name,
       greatest(extract(epoch from paused_until - now()), 0)::double precision as paused_seconds,
       case when paused_until > now() then reason end as reason,
       daily_budget > 0 and calls_today >= daily_budget and budget_day = (now() at time zone 'America/Sao_Paulo')::date as budget_spent
from upstreams;
comment on view health_upstreams is 'What /health says about each upstream. Seconds still paused; null where it never was.';

create function grant_roles() returns void language plpgsql as $$
declare
  home text := current_schema();
  held text;
begin
  for held in select rolname from pg_roles where rolname in ('c2s_web', 'c2s_poller', 'c2s_ops') loop
    execute format('grant usage on schema %I to %I', home, held);
    execute format('grant select on schema_migrations, health_queue, health_upstreams to %I', held);

    if held in ('c2s_web', 'c2s_ops') then
      -- The columns that are read are those of ON CONFLICT and RETURNING. max_attempts is intake's, from its settings.
      execute format('grant insert (id, lead_id, updated_at, hook_action, payload_raw, max_attempts), select (id, lead_id, updated_at) on webhook_events to %I', held);
      execute format('grant insert (id, raw, reason, detail, lead_id, headers) on rejected_deliveries to %I', held);
      execute format('grant execute on function stored_deliveries to %I', held);
    end if;

    if held = 'c2s_poller' then
      execute format('grant select, insert, update, delete on webhook_events, event_attempts, leads, people, contact_lookups, lead_people, lead_messages, upstreams, pollers to %I', held);
      execute format('grant select, delete on rejected_deliveries to %I', held);
    end if;

    if held = 'c2s_ops' then
      execute format('grant select on webhook_events, event_attempts, leads, people, contact_lookups, lead_people, lead_messages, upstreams, pollers, rejected_deliveries to %I', held);
      -- Reprocessing is a change of status; its trigger writes the history. Pausing and resuming are rows of upstreams.
      execute format('grant update (status) on webhook_events to %I', held);
      execute format('grant insert on event_attempts to %I', held);
      execute format('grant update on upstreams to %I', held);
      execute format('grant update (replayed_at) on rejected_deliveries to %I', held);
    end if;
  end loop;
end $$;
comment on function grant_roles is 'Gives the roles that exist what they need, no more. To be run again by the owner after roles were created later.';
revoke execute on function grant_roles from public;

select grant_roles();
