-- What the migrations come to. Written by `make schema`; a test keeps it true.


SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: admit_call(text, interval, interval, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.admit_call(upstream text, slot_wait interval, probe_lease interval, at timestamp with time zone, OUT decision text, OUT wait interval, OUT why text, OUT failed integer, OUT probe timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
  u     upstreams;
  t     timestamptz;
  slot  timestamptz;
  today date;
begin
  select * into u from upstreams x where x.name = upstream;
  decision := 'go';
  wait := interval '0';
  why := coalesce(u.reason, 'no reason given');
  failed := u.failures;
  if u.paused_until is null and u.min_interval = '0' and greatest(u.daily_budget, u.usual_budget) = 0 then
    return;
  end if;
  -- Lock first, then read the clock: who waited for the row must not be given a slot in the past.
  select * into u from upstreams x where x.name = upstream for update;
  t := coalesce(at, clock_timestamp());
  slot := case when u.min_interval > '0' then greatest(u.next_slot_at, t) else t end;
  if slot > t + slot_wait + u.min_interval + interval '1 minute' then
    slot := t;  -- nobody was given that one: the clock was ahead when it was reckoned
  end if;
  today := (t at time zone 'America/Sao_Paulo')::date;
  if u.budget_day <> today then
    u.calls_today := 0;
    u.daily_budget := u.usual_budget;
  end if;
  why := coalesce(u.reason, 'no reason given');
  failed := u.failures;
  wait := slot - t;
  if u.paused_until > t or u.probing_until > t then
    decision := 'paused';
    wait := greatest(u.paused_until, u.probing_until) - t;
  elsif u.daily_budget > 0 and u.calls_today >= u.daily_budget then
    decision := 'spent';
    wait := (today + 1)::timestamp at time zone 'America/Sao_Paulo' - t;
  elsif wait > slot_wait then
    decision := 'no_slot';
  else
    if u.paused_until is not null then
      decision := 'probe';
      probe := slot + probe_lease;
    end if;
    update upstreams x
       set next_slot_at = case when u.min_interval > '0' then slot + u.min_interval else x.next_slot_at end,
           probing_until = coalesce(probe, x.probing_until),
           budget_day = today,
           daily_budget = u.daily_budget,
           calls_today = u.calls_today + 1
     where x.name = upstream;
  end if;
end $$;

--
-- Name: FUNCTION admit_call(upstream text, slot_wait interval, probe_lease interval, at timestamp with time zone, OUT decision text, OUT wait interval, OUT why text, OUT failed integer, OUT probe timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.admit_call(upstream text, slot_wait interval, probe_lease interval, at timestamp with time zone, OUT decision text, OUT wait interval, OUT why text, OUT failed integer, OUT probe timestamp with time zone) IS 'May one call go out? decision: go, probe, or why not (paused, spent, no_slot); wait: until the slot, or how long to stay away; probe: the mark of the call that tests whether a pause is over.';

--
-- Name: ask(text, uuid, bigint, text, text, text, interval, interval, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.ask(what text, asker uuid, token bigint, upstream text, kind text, subject text, slot_wait interval, probe_lease interval, at timestamp with time zone, OUT decision text, OUT wait interval, OUT why text, OUT failed integer, OUT probe timestamp with time zone, OUT answer jsonb, OUT answered_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
  taken boolean := false;
  lost  boolean;
begin
  loop
    if kind = 'record' then
      select p.profile, p.fetched_at into answer, answered_at
        from people p where p.cpf = subject and p.expires_at > clock_timestamp();
    else
      select l.candidates, l.fetched_at into answer, answered_at from contact_lookups l
       where l.contact = subject and l.kind = ask.kind and l.source = upstream
         and l.expires_at > clock_timestamp();
    end if;
    if found then
      decision := 'remembered';
      exit;
    end if;
    exit when taken;
    insert into answers_under_way as u (what, event_id, lease_token) values (what, asker, token)
    on conflict on constraint answers_under_way_pkey do update
       set event_id = excluded.event_id, lease_token = excluded.lease_token
     where (u.event_id = excluded.event_id and u.lease_token <= excluded.lease_token)
        or not exists (select from webhook_events e
                        where e.id = u.event_id and e.lease_token = u.lease_token
                          and e.lease_expires_at > clock_timestamp())
    returning u.xmax <> 0 into lost;
    if not found then
      decision := 'busy';
      return;
    end if;
    if lost then
      -- Whoever asked before died with the question: it was perhaps paid.
      insert into paid_calls (upstream, kind) values (upstream, kind);
    end if;
    taken := true;
  end loop;
  if decision is null then
    select * into decision, wait, why, failed, probe
      from admit_call(upstream, slot_wait, probe_lease, at);
    answered_at := clock_timestamp();
  end if;
  if taken and decision not in ('go', 'probe') then
    delete from answers_under_way u where u.what = ask.what;
  end if;
end $$;

--
-- Name: count_intake(integer, integer, integer, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.count_intake(delivered integer, duplicates integer, refused integer, rejected integer) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
  delete from intake_minutes where minute < now() - interval '70 days';
  insert into intake_minutes as known (minute, delivered, duplicates, refused, rejected)
  values (date_trunc('minute', now()), delivered, duplicates, refused, rejected)
  on conflict (minute) do update
     set delivered = known.delivered + excluded.delivered,
         duplicates = known.duplicates + excluded.duplicates,
         refused = known.refused + excluded.refused, rejected = known.rejected + excluded.rejected;
$$;

--
-- Name: FUNCTION count_intake(delivered integer, duplicates integer, refused integer, rejected integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.count_intake(delivered integer, duplicates integer, refused integer, rejected integer) IS 'Adds to the current minute of intake_minutes.';

--
-- Name: database_state(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.database_state(OUT identity text, OUT log_end bigint) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  identity := concat_ws(
    ' ', (select system_identifier from pg_control_system()),
    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), current_setting('neon.timeline_id', true),
    (select oid from pg_database where datname = current_database()), 'lead_messages'::regclass::oid);
  log_end := pg_current_wal_flush_lsn() - '0/0'::pg_lsn;
exception when others then
  -- A platform that hides its log: the tables still tell a dump that was loaded.
  identity := concat_ws(
    ' ', current_setting('neon.timeline_id', true),
    (select oid from pg_database where datname = current_database()), 'lead_messages'::regclass::oid);
end $$;

--
-- Name: error_group(text, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.error_group(kind text, step text, message text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
  select case when kind is not null then left(md5(
    kind || coalesce(' ' || step, '') || coalesce(' ' || regexp_replace(message,
    '[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}|(?<=ref )[A-Z0-9]{6,}|(?<=poller )\S+|(?<!HTTP )\m\d[\d.,:]*',
    '#', 'g'), '')), 8) end
$$;

--
-- Name: FUNCTION error_group(kind text, step text, message text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.error_group(kind text, step text, message text) IS 'The group of an error: kind, step and text without its ids and numbers.';

--
-- Name: grant_roles(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.grant_roles() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

--
-- Name: FUNCTION grant_roles(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.grant_roles() IS 'Gives the roles that exist what they need, no more. To be run again by the owner after roles were created later.';

--
-- Name: keep_lead_erased(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.keep_lead_erased() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  if exists (select from erased_leads where lead_id = new.lead_id) then
    new.payload_raw := '{}';
    new.hook_action := known_hook_action(new.hook_action);
    new.payload_removed_at := coalesce(new.payload_removed_at, clock_timestamp());
    new.status := 'completed';
    new.outcome := 'erased';
    new.processed_at := coalesce(new.processed_at, clock_timestamp());
    new.error_kind := null;
    new.error_message := null;
    new.fingerprint := null;
    new.waiting_for := null;
    new.waiting_reason := null;
    new.outcome_detail := null;
    new.losses := 0;
    new.reprocess := false;
  end if;
  return new;
end $$;

--
-- Name: keep_reject_erased(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.keep_reject_erased() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  if new.lead_id is not null and exists (select from erased_leads where lead_id = new.lead_id) then
    new.raw := '';
    new.detail := null;
  end if;
  return new;
end $$;

--
-- Name: keep_rejected(uuid[], bytea[], text[], text[], text[], jsonb[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.keep_rejected(ids uuid[], raws bytea[], reasons text[], details text[], lead_ids text[], headers jsonb[]) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  if (select bytes >= room from health_rejects) then
    return false;
  end if;
  insert into rejected_deliveries (id, raw, reason, detail, lead_id, headers, times)
  select g.id, g.raw, g.reason, g.detail, g.lead_id, g.headers, g.times
    from (select *, count(*) over same as times, row_number() over (same order by u.id) as place
            from unnest(ids, raws, reasons, details, lead_ids, headers)
                   as u (id, raw, reason, detail, lead_id, headers)
          window same as (partition by u.raw, u.reason)) g
   where g.place = 1 and not exists (select from rejected_deliveries known where known.id = g.id)
   order by g.raw, g.reason
  on conflict (digest, reason) where raw <> ''::bytea or reason = 'empty_body'
  do update set times = rejected_deliveries.times + excluded.times, last_received_at = now();
  return true;
end $$;

--
-- Name: FUNCTION keep_rejected(ids uuid[], raws bytea[], reasons text[], details text[], lead_ids text[], headers jsonb[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.keep_rejected(ids uuid[], raws bytea[], reasons text[], details text[], lead_ids text[], headers jsonb[]) IS 'Keeps rejected deliveries, the same bytes once; false: no room.';

--
-- Name: known_hook_action(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.known_hook_action(hook text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
  select hook where hook in ('on_create_lead', 'on_update_lead', 'on_close_lead', 'reconcile')
$$;

--
-- Name: lead_messages_cleared(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.lead_messages_cleared() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  update webhook_events set status = 'received'
   where lead_id = new.lead_id and status = 'failed' and error_kind = 'delivery_unclear';
  return null;
end $$;

--
-- Name: letters_and_digits(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.letters_and_digits(t text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
  select regexp_replace(
    lower(translate(t, '０１２３４５６７８９ａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ',
                       '0123456789abcdefghijklmnopqrstuvwxyz')),
    '[^0-9a-z]', '', 'g')
$$;

--
-- Name: masked_cpf(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.masked_cpf(cpf text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
  select '***.' || substr(cpf, 4, 3) || '.' || substr(cpf, 7, 3) || '-**'
$$;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: webhook_events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.webhook_events (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    lead_id text NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    hook_action text,
    payload_raw jsonb NOT NULL,
    status text DEFAULT 'received'::text NOT NULL,
    outcome text,
    outcome_detail jsonb,
    attempts integer DEFAULT 0 NOT NULL,
    max_attempts integer DEFAULT 8 NOT NULL,
    available_at timestamp with time zone DEFAULT now() NOT NULL,
    claimed_by text,
    claimed_at timestamp with time zone,
    lease_token bigint DEFAULT 0 NOT NULL,
    lease_expires_at timestamp with time zone,
    deadline_at timestamp with time zone,
    error_kind text,
    error_message text,
    error_group text GENERATED ALWAYS AS (public.error_group(error_kind, (outcome_detail ->> 'step'::text), error_message)) STORED,
    waiting_for text,
    waiting_reason text,
    losses integer DEFAULT 0 NOT NULL,
    suspect boolean GENERATED ALWAYS AS ((losses > 1)) STORED NOT NULL,
    reprocess boolean DEFAULT false NOT NULL,
    fingerprint text,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    processed_at timestamp with time zone,
    payload_removed_at timestamp with time zone,
    request_id text,
    ordered_at timestamp with time zone GENERATED ALWAYS AS (LEAST(updated_at, received_at)) STORED NOT NULL,
    CONSTRAINT leased_if_and_only_if_processing CHECK ((((status = 'processing'::text) = (lease_expires_at IS NOT NULL)) AND ((status = 'processing'::text) = (claimed_by IS NOT NULL)) AND ((status = 'processing'::text) = (claimed_at IS NOT NULL)) AND ((status = 'processing'::text) = (deadline_at IS NOT NULL)))),
    CONSTRAINT outcome_only_when_completed CHECK (((outcome IS NULL) OR (status = 'completed'::text))),
    CONSTRAINT processed_at_only_when_settled CHECK (((processed_at IS NULL) OR (status = ANY (ARRAY['completed'::text, 'failed'::text])))),
    CONSTRAINT webhook_events_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT webhook_events_available_at_check CHECK (isfinite(available_at)),
    CONSTRAINT webhook_events_error_kind_check CHECK ((error_kind = ANY (ARRAY['missing_customer'::text, 'lead_not_found'::text, 'upstream_unavailable'::text, 'upstream_refused'::text, 'upstream_unreadable'::text, 'delivery_unclear'::text, 'worker_lost'::text, 'bug'::text, 'given_up'::text]))),
    CONSTRAINT webhook_events_error_message_check CHECK ((length(error_message) <= 1000)),
    CONSTRAINT webhook_events_lead_id_check CHECK ((lead_id <> ''::text)),
    CONSTRAINT webhook_events_losses_check CHECK ((losses >= 0)),
    CONSTRAINT webhook_events_max_attempts_check CHECK (((max_attempts >= 1) AND (max_attempts <= 32000))),
    CONSTRAINT webhook_events_outcome_check CHECK ((outcome = ANY (ARRAY['enriched'::text, 'partial'::text, 'not_found'::text, 'unchanged'::text, 'superseded'::text, 'ignored'::text, 'shadow'::text, 'erased'::text]))),
    CONSTRAINT webhook_events_status_check CHECK ((status = ANY (ARRAY['received'::text, 'processing'::text, 'completed'::text, 'failed'::text]))),
    CONSTRAINT webhook_events_updated_at_check CHECK (((updated_at >= '0001-01-02 00:00:00+00'::timestamp with time zone) AND (updated_at < '9999-12-31 00:00:00+00'::timestamp with time zone))),
    CONSTRAINT webhook_events_waiting_reason_check CHECK ((waiting_reason = ANY (ARRAY['paused'::text, 'credential'::text, 'budget'::text, 'slot'::text, 'throttled'::text, 'backoff'::text, 'read_back'::text, 'database'::text])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_analyze_scale_factor='0.02', autovacuum_vacuum_cost_delay='0', vacuum_truncate=off);

--
-- Name: TABLE webhook_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.webhook_events IS 'One accepted webhook: received → processing → completed | failed. Set status to received to reprocess.';

--
-- Name: COLUMN webhook_events.outcome_detail; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_events.outcome_detail IS 'What the outcome or the error rests on: step, echo (ref), ddd, skipped (contacts), answers [{source, kind, found, remembered, at}], unasked (contacts), unproven [sources], unreadable {source, rows}.';

--
-- Name: COLUMN webhook_events.available_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_events.available_at IS 'When a received event is due; in the future while it waits for a retry or an upstream.';

--
-- Name: COLUMN webhook_events.lease_token; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_events.lease_token IS 'Fencing token: raised by every claim, settlement and change by hand; a poller must present it.';

--
-- Name: COLUMN webhook_events.deadline_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_events.deadline_at IS 'End of this attempt, never renewed: frees an event whose task hangs while its process beats.';

--
-- Name: COLUMN webhook_events.waiting_for; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_events.waiting_for IS 'The upstream whose pause or rate limit this event waits for; its recovery makes the event due at once.';

--
-- Name: COLUMN webhook_events.waiting_reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_events.waiting_reason IS 'Why a received event waits, as a code; null when it is next in line.';

--
-- Name: COLUMN webhook_events.losses; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_events.losses IS 'How often in a row a process died, or hung, while this event was in flight.';

--
-- Name: COLUMN webhook_events.suspect; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_events.suspect IS 'Lost twice in a row or more: it runs alone, in a process of its own, next time.';

--
-- Name: COLUMN webhook_events.reprocess; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_events.reprocess IS 'A person asked for it again: it is worked on even if nothing is new, unless a newer event waits.';

--
-- Name: COLUMN webhook_events.payload_removed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_events.payload_removed_at IS 'The payload was removed, by age or by an erasure. The row stays: its key still recognises the same delivery.';

--
-- Name: COLUMN webhook_events.request_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_events.request_id IS 'The X-Request-Id of the delivery that brought it: finds its line in the log of web.';

--
-- Name: COLUMN webhook_events.ordered_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_events.ordered_at IS 'When it happened, by a clock that we trust: updated_at, but never later than its arrival. Decides what is newer; updated_at is the key.';

--
-- Name: v_events; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_events AS
 SELECT id AS event_id,
    lead_id,
    updated_at,
    hook_action,
    status,
    outcome,
    attempts,
    max_attempts,
    received_at,
    available_at,
    processed_at,
    waiting_for,
    waiting_reason,
    error_kind,
        CASE
            WHEN (split_part(error_message, ': '::text, 1) = ANY (ARRAY['c2s'::text, 'diretrix'::text, 'work_api'::text])) THEN split_part(error_message, ': '::text, 1)
            ELSE NULL::text
        END AS error_upstream,
        CASE
            WHEN (error_kind IS NOT NULL) THEN (outcome_detail ->> 'step'::text)
            ELSE NULL::text
        END AS error_step,
    error_message,
    error_group,
    outcome_detail,
    claimed_by,
    claimed_at,
    lease_expires_at,
    suspect,
    fingerprint
   FROM public.webhook_events e;

--
-- Name: VIEW v_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_events IS 'Every event without its payload.';

--
-- Name: COLUMN v_events.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.event_id IS 'Id of the event: webhook_events.id.';

--
-- Name: COLUMN v_events.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.lead_id IS 'C2S''s id of the lead.';

--
-- Name: COLUMN v_events.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.updated_at IS 'The payload''s updated_at: with the lead it is the delivery''s key.';

--
-- Name: COLUMN v_events.hook_action; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.hook_action IS 'C2S''s name of what happened, for example on_create_lead.';

--
-- Name: COLUMN v_events.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.status IS 'received, processing, completed or failed; of a message: pending, sending or sent.';

--
-- Name: COLUMN v_events.outcome; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.outcome IS 'How a completed event ended.';

--
-- Name: COLUMN v_events.attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.attempts IS 'Attempts that were spent.';

--
-- Name: COLUMN v_events.max_attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.max_attempts IS 'Attempts after which the event fails.';

--
-- Name: COLUMN v_events.received_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.received_at IS 'When the webhook arrived.';

--
-- Name: COLUMN v_events.available_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.available_at IS 'When a received event is due.';

--
-- Name: COLUMN v_events.processed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.processed_at IS 'When the event was completed or failed.';

--
-- Name: COLUMN v_events.waiting_for; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.waiting_for IS 'The upstream that a received event waits for.';

--
-- Name: COLUMN v_events.waiting_reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.waiting_reason IS 'Why a received event waits, as a code.';

--
-- Name: COLUMN v_events.error_kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.error_kind IS 'Kind of the error, as a code.';

--
-- Name: COLUMN v_events.error_upstream; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.error_upstream IS 'The upstream that the error names.';

--
-- Name: COLUMN v_events.error_step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.error_step IS 'The step in which the attempt ended.';

--
-- Name: COLUMN v_events.error_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.error_message IS 'The error as a sentence, without contacts and secrets.';

--
-- Name: COLUMN v_events.error_group; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.error_group IS 'Fingerprint of the error without its ids and numbers: the filter --error.';

--
-- Name: COLUMN v_events.outcome_detail; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.outcome_detail IS 'What the outcome or the error rests on; see webhook_events.';

--
-- Name: COLUMN v_events.claimed_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.claimed_by IS 'The poller that works on it.';

--
-- Name: COLUMN v_events.claimed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.claimed_at IS 'When the poller took it.';

--
-- Name: COLUMN v_events.lease_expires_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.lease_expires_at IS 'When the lease ends unless the poller renews it.';

--
-- Name: COLUMN v_events.suspect; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.suspect IS 'A poller died while working on it: it runs alone next time.';

--
-- Name: COLUMN v_events.fingerprint; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_events.fingerprint IS 'Hash of the contacts that the event was about.';

--
-- Name: matching_events(jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.matching_events(filter jsonb) RETURNS SETOF public.v_events
    LANGUAGE sql STABLE
    AS $$
  select * from v_events e
   where (filter -> 'event' is null
          or e.event_id = any(array(select jsonb_array_elements_text(filter -> 'event')::uuid)))
     and (filter ->> 'lead' is null or e.lead_id = filter ->> 'lead')
     and (filter ->> 'status' is null or e.status = filter ->> 'status')
     and (filter ->> 'outcome' is null or e.outcome = filter ->> 'outcome')
     and (filter ->> 'kind' is null or e.error_kind = filter ->> 'kind')
     and (filter ->> 'upstream' is null
          or (e.error_kind is not null and e.error_upstream = filter ->> 'upstream'))
     and (filter ->> 'waiting' is null or (e.status = 'received' and e.waiting_for = filter ->> 'waiting'))
     and (filter ->> 'reason' is null or (e.status = 'received' and e.waiting_reason = filter ->> 'reason'))
     and (filter ->> 'error' is null or e.error_group = filter ->> 'error')
     and (filter ->> 'text' is null
          or (e.error_kind is not null and strpos(lower(e.error_message), lower(filter ->> 'text')) > 0))
     and (filter ->> 'hook' is null or e.hook_action = filter ->> 'hook')
     and (filter ->> 'updated' is null or e.updated_at = (filter ->> 'updated')::timestamptz)
     and (filter ->> 'since' is null
          or e.received_at >= case when filter ->> 'since' like '-%'
                                   then now() + (filter ->> 'since')::interval
                                   else (filter ->> 'since')::timestamptz end)
     and (filter ->> 'until' is null
          or e.received_at < case when filter ->> 'until' like '-%'
                                  then now() + (filter ->> 'until')::interval
                                  else (filter ->> 'until')::timestamptz end)
$$;

--
-- Name: FUNCTION matching_events(filter jsonb); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.matching_events(filter jsonb) IS 'Events by words: select * from matching_events(''{"status": "failed", "since": "-2 hours"}'').';

--
-- Name: names_any(text, text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.names_any(t text, needles text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
  select exists (select from (select letters_and_digits(t) as squeezed offset 0) s, unnest(needles) as needle
                  where strpos(s.squeezed, needle) > 0)
$$;

--
-- Name: next_of_plan(jsonb, timestamp with time zone, timestamp with time zone, uuid, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.next_of_plan(filter jsonb, planned_at timestamp with time zone, after_at timestamp with time zone, after_id uuid, batch integer) RETURNS TABLE(event_id uuid, lead_id text, status text, received_at timestamp with time zone)
    LANGUAGE sql STABLE
    AS $$
  select e.event_id, e.lead_id, e.status, e.received_at from matching_events(filter) e
   where (e.received_at, e.event_id) > (after_at, after_id) and e.received_at <= planned_at
   order by e.received_at, e.event_id limit batch;
$$;

--
-- Name: FUNCTION next_of_plan(filter jsonb, planned_at timestamp with time zone, after_at timestamp with time zone, after_id uuid, batch integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.next_of_plan(filter jsonb, planned_at timestamp with time zone, after_at timestamp with time zone, after_id uuid, batch integer) IS 'The events that the next batch of a bulk action looks at.';

--
-- Name: rejected_room(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.rejected_room() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select 268435456::bigint$$;

--
-- Name: FUNCTION rejected_room(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.rejected_room() IS 'Bytes that rejected deliveries may hold.';

--
-- Name: lead_messages; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lead_messages (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    lead_id text NOT NULL,
    content_key text NOT NULL,
    body text NOT NULL,
    ref text NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    sends integer DEFAULT 0 NOT NULL,
    looks integer DEFAULT 0 NOT NULL,
    sending_at timestamp with time zone,
    sender text,
    sent_at timestamp with time zone,
    proof text,
    c2s_message_id text,
    contacts text[] DEFAULT '{}'::text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT lead_messages_proof_check CHECK ((proof = ANY (ARRAY['answer'::text, 'read_back'::text, 'webhook'::text, 'person'::text]))),
    CONSTRAINT lead_messages_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'sent'::text]))),
    CONSTRAINT sending_at_from_the_first_send CHECK (((status = 'pending'::text) OR (sending_at IS NOT NULL))),
    CONSTRAINT sent_is_dated CHECK (((status = 'sent'::text) = (sent_at IS NOT NULL)))
)
WITH (fillfactor='80');

--
-- Name: TABLE lead_messages; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.lead_messages IS 'The outbox: pending → sending → sent. A row in sending is read back from C2S before anything is sent again.';

--
-- Name: COLUMN lead_messages.ref; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_messages.ref IS 'Last line of the message and its external_id: how it is recognised when read back.';

--
-- Name: COLUMN lead_messages.sends; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_messages.sends IS 'How often it was given to the network.';

--
-- Name: COLUMN lead_messages.looks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_messages.looks IS 'Looks after the settle time that did not find it, since the last send.';

--
-- Name: COLUMN lead_messages.sender; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_messages.sender IS 'The poller that sent it last: before another may send it again, its pulse is ended.';

--
-- Name: COLUMN lead_messages.contacts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_messages.contacts IS 'The phones and e-mails it is about: a later message says what is new.';

--
-- Name: sent_in_order(public.lead_messages, text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.sent_in_order(m public.lead_messages, refs text[]) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
  select least(greatest(m.sending_at,
                        max(o.sending_at + mine * interval '1 us') filter (where place < mine)),
               min(o.sending_at - (cardinality(refs) - mine) * interval '1 us')
                 filter (where place > mine))
    from lead_messages o, array_position(refs, o.ref) as place, array_position(refs, m.ref) as mine
   where o.lead_id = m.lead_id and o.id <> m.id and o.status <> 'pending' and o.ref = any(refs)
$$;

--
-- Name: stored_deliveries(uuid[], text[], timestamp with time zone[], text[], jsonb[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.stored_deliveries(ids uuid[], lead_ids text[], updated_ats timestamp with time zone[], hook_actions text[], payloads jsonb[]) RETURNS TABLE(id uuid, verdict text, next_at timestamp with time zone)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
  with related as materialized (
    select given.*, coalesce(bool_or(event.id = given.id), false) as is_it, count(*) as bodies,
           max(event.updated_at) as latest,
           bool_or(event.payload_removed_at is not null or event.payload_raw = given.payload) as is_equal
      from unnest(ids, lead_ids, updated_ats, hook_actions, payloads) with ordinality
             as given (id, lead_id, updated_at, hook_action, payload, place)
      join webhook_events event
        on event.lead_id = given.lead_id and event.updated_at >= given.updated_at
       and event.updated_at < given.updated_at + interval '50 microseconds'
     group by given.id, given.lead_id, given.updated_at, given.hook_action, given.payload, given.place
  ), other as materialized (
    select r.*, used_of(r.payload, r.hook_action) as used from related r where not r.is_it and not r.is_equal
  ), brings as materialized (
    select o.*, min(o.place) over (partition by o.lead_id, o.updated_at, o.used) as first_place
      from other o
     where not exists (
       select from webhook_events event
        where event.lead_id = o.lead_id and event.updated_at >= o.updated_at
          and event.updated_at < o.updated_at + interval '50 microseconds'
          and o.used <@ used_of(event.payload_raw, event.hook_action))
  ), numbered as (
    -- Those that bring the same get the same time: one of them is stored and the next comparison calls the
    -- others duplicates.
    select b.place, dense_rank() over (partition by b.lead_id, b.updated_at order by b.first_place) as later
      from brings b
  )
  select r.id,
         case when r.is_it then 'stored'
              when n.later is null then 'duplicate'
              when r.bodies + n.later > 50 then 'same_key_other_body'
              else 'new_body' end,
         r.latest + n.later * interval '1 microsecond'
    from related r left join numbered n on n.place = r.place
$$;

--
-- Name: FUNCTION stored_deliveries(ids uuid[], lead_ids text[], updated_ats timestamp with time zone[], hook_actions text[], payloads jsonb[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.stored_deliveries(ids uuid[], lead_ids text[], updated_ats timestamp with time zone[], hook_actions text[], payloads jsonb[]) IS 'How each given event relates to the stored ones of the same key: it is one of them, brings nothing new, or is a new body, to be stored at next_at.';

--
-- Name: used_of(jsonb, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.used_of(payload jsonb, hook_action text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
  with recursive place (value, depth) as (
    select payload, 0
    union all
    select case jsonb_typeof(part) when 'array' then part -> 0 else part end, place.depth + 1
      from place
      cross join unnest(array['data', 'lead', 'attributes', 'customer']) as key
      cross join lateral (select place.value -> key as part) inner_one
     where place.depth < 8 and jsonb_typeof(place.value) = 'object' and part is not null
  )
  select coalesce(array_agg(found.what order by found.what), '{}')
    from (select key || '=' || btrim(value ->> key) as what
            from place cross join unnest(array['name', 'phone', 'phone2', 'phone_global', 'email']) as key
           where jsonb_typeof(value -> key) in ('string', 'number') and btrim(value ->> key) <> ''
          union
          select 'closed'
            from place
           where hook_action in ('on_close_lead', 'lead.closed')
              or lower(btrim(value #>> '{archive_details,archived}')) in ('true', '1', 'yes', 'sim')
              or lower(btrim(value #>> '{done_details,done}')) in ('true', '1', 'yes', 'sim')) found
$$;

--
-- Name: FUNCTION used_of(payload jsonb, hook_action text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.used_of(payload jsonb, hook_action text) IS 'What the service uses of a payload; two bodies that agree in it are one event.';

--
-- Name: webhook_events_changed_by_hand(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.webhook_events_changed_by_hand() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  if old.status = 'processing' then
    insert into event_attempts (event_id, lease_token, attempt, worker, started_at, result)
    values (old.id, old.lease_token, old.attempts, old.claimed_by, old.claimed_at, 'taken_away');
  end if;
  new.lease_token := old.lease_token + 1;
  new.claimed_by := null;
  new.claimed_at := null;
  new.lease_expires_at := null;
  new.deadline_at := null;
  new.waiting_for := null;
  new.waiting_reason := null;
  if new.status = 'received' then
    new.attempts := 0;
    new.available_at := now();
    new.outcome := null;
    new.outcome_detail := null;
    new.error_kind := null;
    new.error_message := null;
    new.processed_at := null;
    new.losses := 0;
    new.reprocess := true;
    -- Somebody thinks that it is fixed: if it fails again, that is news.
    delete from muted_errors where error_group = old.error_group;
    perform pg_notify('webhook_events', '');
  else
    new.processed_at := coalesce(new.processed_at, now());
    if new.status <> 'completed' then
      new.outcome := null;
    end if;
  end if;
  return new;
end $$;

--
-- Name: webhook_events_inserted(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.webhook_events_inserted() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  perform pg_notify('webhook_events', '');
  return null;
end $$;

--
-- Name: alerts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alerts (
    key text NOT NULL,
    scope text NOT NULL,
    text text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    told_at timestamp with time zone,
    recovered_at timestamp with time zone
);

--
-- Name: TABLE alerts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.alerts IS 'What ALERT_WEBHOOK_URL is told of: a row for each problem from its beginning until its end is told.';

--
-- Name: answers_under_way; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.answers_under_way (
    what text NOT NULL,
    event_id uuid NOT NULL,
    lease_token bigint NOT NULL
);

--
-- Name: TABLE answers_under_way; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.answers_under_way IS 'A paid question that an event is asking now: others wait for its answer. It lapses with that event''s lease.';

--
-- Name: contact_lookups; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.contact_lookups (
    source text NOT NULL,
    kind text NOT NULL,
    contact text NOT NULL,
    candidates jsonb NOT NULL,
    fetched_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT contact_lookups_kind_check CHECK ((kind = ANY (ARRAY['phone'::text, 'email'::text]))),
    CONSTRAINT contact_lookups_source_check CHECK ((source = ANY (ARRAY['diretrix'::text, 'work_api'::text])))
);

--
-- Name: TABLE contact_lookups; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.contact_lookups IS 'Who a source suggested for a normalised phone or e-mail; an empty list means nobody.';

--
-- Name: duties; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.duties (
    name text NOT NULL,
    began_at timestamp with time zone NOT NULL
);

--
-- Name: TABLE duties; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.duties IS 'When a duty that one poller does for all was last begun. Who moves the time on has the turn.';

--
-- Name: erased_leads; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.erased_leads (
    lead_id text NOT NULL,
    erased_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

--
-- Name: TABLE erased_leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.erased_leads IS 'Leads that were erased. What C2S still tells of them is stored without content and never worked on. Delete a row to lift that.';

--
-- Name: erasures; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.erasures (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    asked_by text NOT NULL,
    erased_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    counts jsonb NOT NULL,
    CONSTRAINT erasures_asked_by_check CHECK ((asked_by = ANY (ARRAY['lead'::text, 'cpf'::text])))
);

--
-- Name: TABLE erasures; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.erasures IS 'Receipts: what was removed and when, without whose it was.';

--
-- Name: event_attempts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.event_attempts (
    event_id uuid NOT NULL,
    lease_token bigint NOT NULL,
    attempt integer NOT NULL,
    worker text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    result text NOT NULL,
    outcome text,
    error_kind text,
    error_message text,
    steps jsonb DEFAULT '[]'::jsonb NOT NULL,
    calls jsonb DEFAULT '[]'::jsonb NOT NULL,
    CONSTRAINT event_attempts_error_message_check CHECK ((length(error_message) <= 1000)),
    CONSTRAINT event_attempts_result_check CHECK ((result = ANY (ARRAY['completed'::text, 'retried'::text, 'postponed'::text, 'failed'::text, 'released'::text, 'worker_lost'::text, 'taken_away'::text])))
);

--
-- Name: TABLE event_attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.event_attempts IS 'History of claims: who worked on an event, how it ended, its steps and its calls.';

--
-- Name: COLUMN event_attempts.steps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.event_attempts.steps IS '[{step, at_ms, ms}] in the order in which they began; ms is null where the step did not end.';

--
-- Name: COLUMN event_attempts.calls; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.event_attempts.calls IS '[{upstream, kind, result, paid, at_ms, ms}] in the order in which they ended.';

--
-- Name: hash_key; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.hash_key (
    only_row boolean DEFAULT true NOT NULL,
    check_value text NOT NULL,
    since timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT hash_key_only_row_check CHECK (only_row)
);

--
-- Name: TABLE hash_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.hash_key IS 'A hash of a fixed text under HASH_KEY, with the key''s id before the colon: a process with another key does not start.';

--
-- Name: muted_errors; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.muted_errors (
    error_group text NOT NULL,
    muted_at timestamp with time zone DEFAULT now() NOT NULL
);

--
-- Name: TABLE muted_errors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.muted_errors IS 'Errors whose failures no alert counts, until they are fixed; v_muted has those that are still muted.';

--
-- Name: v_muted; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_muted AS
 SELECT error_group,
    muted_at AS muted_since
   FROM public.muted_errors m
  WHERE ((muted_at > (now() - '7 days'::interval)) AND (EXISTS ( SELECT
           FROM public.webhook_events e
          WHERE ((e.error_group = m.error_group) AND (e.received_at <= m.muted_at)))));

--
-- Name: VIEW v_muted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_muted IS 'Errors that no alert counts: for at most a week, until no event from before has the error any more, or until somebody reprocesses one of its events.';

--
-- Name: COLUMN v_muted.error_group; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_muted.error_group IS 'Fingerprint of the error without its ids and numbers: the filter --error.';

--
-- Name: COLUMN v_muted.muted_since; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_muted.muted_since IS 'Since when no alert counts this error; null where it is not muted.';

--
-- Name: health_last_hour; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.health_last_hour AS
 SELECT ended.events AS ended,
    ended.failed,
    ended.kinds AS failed_kinds,
    ended.muted,
    lost.claims AS claims_lost,
    unproven.sources AS unproven
   FROM ( SELECT (COALESCE(sum(of_kind.events), (0)::numeric))::integer AS events,
            (COALESCE(sum(of_kind.failed), (0)::numeric))::integer AS failed,
            (COALESCE(sum(of_kind.muted), (0)::numeric))::integer AS muted,
            string_agg(((of_kind.failed || ' '::text) || of_kind.error_kind), ', '::text ORDER BY of_kind.failed DESC) FILTER (WHERE (of_kind.failed > 0)) AS kinds
           FROM ( SELECT newest.error_kind,
                    count(*) AS events,
                    count(*) FILTER (WHERE ((newest.status = 'failed'::text) AND (v_muted.muted_since IS NULL))) AS failed,
                    count(*) FILTER (WHERE ((newest.status = 'failed'::text) AND (v_muted.muted_since IS NOT NULL))) AS muted
                   FROM (( SELECT webhook_events.status,
                            webhook_events.error_kind,
                            webhook_events.error_group
                           FROM public.webhook_events
                          WHERE ((webhook_events.status = ANY (ARRAY['completed'::text, 'failed'::text])) AND (webhook_events.processed_at > (now() - '01:00:00'::interval)))
                          ORDER BY webhook_events.processed_at DESC
                         LIMIT 10000) newest
                     LEFT JOIN public.v_muted USING (error_group))
                  GROUP BY newest.error_kind) of_kind) ended,
    ( SELECT (count(*))::integer AS claims
           FROM ( SELECT event_attempts.result
                   FROM public.event_attempts
                  WHERE (event_attempts.finished_at > (now() - '01:00:00'::interval))
                  ORDER BY event_attempts.finished_at DESC
                 LIMIT 10000) newest
          WHERE (newest.result = 'worker_lost'::text)) lost,
    ( SELECT string_agg(((of_source.events || ' '::text) || of_source.source), ', '::text ORDER BY of_source.source) AS sources
           FROM ( SELECT source.value AS source,
                    count(*) AS events
                   FROM (( SELECT webhook_events.outcome_detail
                           FROM public.webhook_events
                          WHERE ((webhook_events.status = ANY (ARRAY['completed'::text, 'failed'::text])) AND (webhook_events.processed_at > (now() - '01:00:00'::interval)))
                          ORDER BY webhook_events.processed_at DESC
                         LIMIT 10000) newest
                     CROSS JOIN LATERAL jsonb_array_elements_text((newest.outcome_detail -> 'unproven'::text)) source(value))
                  GROUP BY source.value) of_source) unproven;

--
-- Name: VIEW health_last_hour; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.health_last_hour IS 'The newest 10,000 events that ended within an hour, the failed ones by kind, those with a muted error apart, claims whose poller was lost, and the sources that answered with a web page where they say "not found".';

--
-- Name: pollers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.pollers (
    name text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    beat_at timestamp with time zone DEFAULT now() NOT NULL,
    in_flight integer DEFAULT 0 NOT NULL,
    concurrency integer NOT NULL,
    pulse boolean DEFAULT false NOT NULL,
    version text,
    metrics text
)
WITH (fillfactor='50');

--
-- Name: TABLE pollers; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.pollers IS 'Heartbeats, for people and for /health.';

--
-- Name: COLUMN pollers.pulse; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pollers.pulse IS 'It holds a direct connection, ''c2s-enrich pulse NAME'' in pg_stat_activity: when that ends its events are given back at once. Without one their leases decide.';

--
-- Name: read_backs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.read_backs (
    account text NOT NULL,
    tried_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    proven_at timestamp with time zone
);

--
-- Name: TABLE read_backs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.read_backs IS 'For each C2S account (a keyed hash of address and token): was a message of ours found on its lead? Until then an unclear delivery is left to a person.';

--
-- Name: rejected_deliveries; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.rejected_deliveries (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    raw bytea NOT NULL,
    reason text NOT NULL,
    detail text,
    lead_id text,
    headers jsonb DEFAULT '{}'::jsonb NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    replayed_at timestamp with time zone,
    times integer DEFAULT 1 NOT NULL,
    last_received_at timestamp with time zone DEFAULT now() NOT NULL,
    dismissed_at timestamp with time zone,
    digest bytea GENERATED ALWAYS AS (sha256(raw)) STORED NOT NULL
);

--
-- Name: TABLE rejected_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.rejected_deliveries IS 'Authentic deliveries that are not readable events, whole, for a person to look at or to replay.';

--
-- Name: COLUMN rejected_deliveries.times; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.rejected_deliveries.times IS 'How often the same bytes came; received_at is the first time.';

--
-- Name: COLUMN rejected_deliveries.dismissed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.rejected_deliveries.dismissed_at IS 'When a person decided that nothing is to be done about it.';

--
-- Name: health_queue; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.health_queue AS
 SELECT (EXTRACT(epoch FROM (now() - LEAST(( SELECT webhook_events.available_at
           FROM public.webhook_events
          WHERE ((webhook_events.status = 'received'::text) AND (NOT webhook_events.suspect) AND (webhook_events.available_at <= now()))
          ORDER BY webhook_events.available_at
         LIMIT 1), ( SELECT webhook_events.available_at
           FROM public.webhook_events
          WHERE ((webhook_events.status = 'received'::text) AND webhook_events.suspect AND (webhook_events.available_at <= now()))
          ORDER BY webhook_events.available_at
         LIMIT 1)))))::double precision AS oldest_due_seconds,
    ( SELECT (LEAST(count(*), (10000)::bigint))::integer AS "least"
           FROM (( SELECT
                   FROM public.webhook_events
                  WHERE ((webhook_events.status = 'received'::text) AND (NOT webhook_events.suspect))
                 LIMIT 10000)
                UNION ALL
                ( SELECT
                   FROM public.webhook_events
                  WHERE ((webhook_events.status = 'received'::text) AND webhook_events.suspect)
                 LIMIT 10000)) w) AS waiting,
    ( SELECT (count(*))::integer AS count
           FROM public.webhook_events
          WHERE (webhook_events.status = 'processing'::text)) AS in_flight,
    ( SELECT (count(*))::integer AS count
           FROM public.webhook_events
          WHERE ((webhook_events.status = 'processing'::text) AND (webhook_events.lease_expires_at < (now() - '00:01:00'::interval)))) AS leases_over,
    ( SELECT (count(*))::integer AS count
           FROM public.pollers
          WHERE (pollers.beat_at > (now() - '00:01:00'::interval))) AS pollers_beating,
    ( SELECT (count(*))::integer AS count
           FROM public.pollers
          WHERE (pollers.beat_at <= (now() - '00:01:00'::interval))) AS pollers_silent,
    ( SELECT (count(*))::integer AS count
           FROM public.lead_messages
          WHERE (lead_messages.status = 'pending'::text)) AS messages_pending,
    ( SELECT (count(*))::integer AS count
           FROM public.lead_messages
          WHERE (lead_messages.status = 'sending'::text)) AS messages_sending,
    ( SELECT (count(*))::integer AS count
           FROM public.lead_messages
          WHERE ((lead_messages.status = 'sending'::text) AND (lead_messages.sends > 0) AND (lead_messages.sending_at < (now() - '00:10:00'::interval)))) AS messages_unclear,
    ( SELECT (count(*))::integer AS count
           FROM public.lead_messages
          WHERE ((lead_messages.status = 'sending'::text) AND (lead_messages.sends = 0))) AS messages_to_look_up,
    COALESCE(( SELECT (read_backs.proven_at IS NULL)
           FROM public.read_backs
          ORDER BY read_backs.tried_at DESC
         LIMIT 1), false) AS read_back_unproven,
    ( SELECT (count(*))::integer AS count
           FROM ( SELECT
                   FROM public.rejected_deliveries
                  WHERE ((rejected_deliveries.replayed_at IS NULL) AND (rejected_deliveries.dismissed_at IS NULL))
                 LIMIT 10000) r) AS rejects_waiting,
    (current_setting('transaction_read_only'::text) = 'on'::text) AS read_only,
    ( SELECT COALESCE(string_agg(g.guard, ', '::text ORDER BY g.guard), ''::text) AS "coalesce"
           FROM ( SELECT (pg_trigger.tgname)::text AS guard
                   FROM pg_trigger
                  WHERE ((pg_trigger.tgrelid = ANY (ARRAY[('public.webhook_events'::regclass)::oid, ('public.lead_messages'::regclass)::oid, ('public.rejected_deliveries'::regclass)::oid])) AND (NOT pg_trigger.tgisinternal) AND (pg_trigger.tgenabled <> ALL (ARRAY['O'::"char", 'A'::"char"])))
                UNION ALL
                 SELECT key.key
                   FROM unnest(ARRAY['webhook_events_lead_id_updated_at_key'::text, 'webhook_events_one_per_lead'::text, 'lead_messages_lead_id_content_key_key'::text]) key(key)
                  WHERE (NOT (EXISTS ( SELECT
                           FROM (pg_index i
                             JOIN pg_class c ON ((c.oid = i.indexrelid)))
                          WHERE ((i.indrelid = ANY (ARRAY[('public.webhook_events'::regclass)::oid, ('public.lead_messages'::regclass)::oid])) AND (c.relname = key.key) AND i.indisvalid))))) g) AS guards_off;

--
-- Name: VIEW health_queue; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.health_queue IS 'What /health says about the queue: numbers only, no lead and no person. Seconds; null where nothing is due. waiting and rejects_waiting end at 10,000. guards_off names triggers and keys, empty when all stand.';

--
-- Name: health_rejects; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.health_rejects AS
 SELECT COALESCE(sum((octet_length(raw) + 4000)), (0)::bigint) AS bytes,
    public.rejected_room() AS room
   FROM public.rejected_deliveries;

--
-- Name: VIEW health_rejects; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.health_rejects IS 'The bytes that rejected deliveries hold, each with 4,000 for its row, and those that they may hold.';

--
-- Name: health_silence; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.health_silence AS
 WITH arrived AS NOT MATERIALIZED (
         SELECT webhook_events.received_at
           FROM public.webhook_events
          WHERE ((webhook_events.hook_action IS DISTINCT FROM 'reconcile'::text) AND ((webhook_events.outcome_detail ->> 'echo'::text) IS NULL))
        ), last AS (
         SELECT arrived.received_at AS at
           FROM arrived
          ORDER BY arrived.received_at DESC
         LIMIT 1
        ), weeks AS (
         SELECT ( SELECT count(*) AS count
                   FROM ( SELECT
                           FROM arrived
                          WHERE ((arrived.received_at > (last_1.at - w.ago)) AND (arrived.received_at <= (now() - w.ago)))
                         LIMIT 1000) a) AS came
           FROM (last last_1
             CROSS JOIN ( SELECT ((n.n)::double precision * '7 days'::interval) AS ago
                   FROM generate_series(1, 4) n(n)) w)
          WHERE (( SELECT min(webhook_events.received_at) AS min
                   FROM public.webhook_events) <= (last_1.at - w.ago))
        )
 SELECT (EXTRACT(epoch FROM (now() - at)))::double precision AS silent_seconds,
    ( SELECT (count(*))::integer AS count
           FROM weeks) AS weeks,
    ( SELECT (avg(weeks.came))::double precision AS avg
           FROM weeks) AS usual,
    (( SELECT ((count(*))::numeric / 4.0)
           FROM generate_series(GREATEST(last.at, (now() - '7 days'::interval)), now(), '00:15:00'::interval) quarter(quarter)
          WHERE ((EXTRACT(isodow FROM (quarter.quarter AT TIME ZONE 'America/Sao_Paulo'::text)) <= (6)::numeric) AND ((EXTRACT(hour FROM (quarter.quarter AT TIME ZONE 'America/Sao_Paulo'::text)) >= (9)::numeric) AND (EXTRACT(hour FROM (quarter.quarter AT TIME ZONE 'America/Sao_Paulo'::text)) <= (18)::numeric)))))::double precision AS business_hours
   FROM last;

--
-- Name: VIEW health_silence; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.health_silence IS 'Since the last webhook: seconds, the business hours among them, and how many webhooks the same hours of up to four earlier weeks brought on average. No row where none has ever come.';

--
-- Name: upstreams; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.upstreams (
    name text NOT NULL,
    paused_until timestamp with time zone,
    paused_since timestamp with time zone,
    reason text,
    probing_until timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    pauses integer DEFAULT 0 NOT NULL,
    next_slot_at timestamp with time zone DEFAULT now() NOT NULL,
    min_interval interval DEFAULT '00:00:00'::interval NOT NULL,
    daily_budget integer DEFAULT 0 NOT NULL,
    usual_budget integer DEFAULT 0 NOT NULL,
    budget_day date DEFAULT CURRENT_DATE NOT NULL,
    calls_today integer DEFAULT 0 NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT upstreams_paused_until_check CHECK (isfinite(paused_until))
)
WITH (fillfactor='50');

--
-- Name: TABLE upstreams; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.upstreams IS 'Shared by all pollers: pauses, the rate limit''s next free slot, the day''s paid calls.';

--
-- Name: COLUMN upstreams.paused_since; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.upstreams.paused_since IS 'When the present pause began; a longer pause does not move it.';

--
-- Name: COLUMN upstreams.reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.upstreams.reason IS 'Why it is paused, in one sentence; null when it is not.';

--
-- Name: health_upstreams; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.health_upstreams AS
 SELECT name,
    (GREATEST(EXTRACT(epoch FROM (paused_until - now())), (0)::numeric))::double precision AS paused_seconds,
        CASE
            WHEN (paused_until > now()) THEN reason
            ELSE NULL::text
        END AS reason,
        CASE
            WHEN (budget_day = ((now() AT TIME ZONE 'America/Sao_Paulo'::text))::date) THEN calls_today
            ELSE 0
        END AS calls_today,
    daily_budget,
    ( SELECT (count(*))::integer AS count
           FROM ( SELECT
                   FROM public.webhook_events
                  WHERE ((webhook_events.status = 'received'::text) AND (webhook_events.waiting_for = upstreams.name))
                 LIMIT 10000) w) AS waiting,
    ( SELECT (count(*))::integer AS count
           FROM ( SELECT
                   FROM public.webhook_events
                  WHERE ((webhook_events.status = 'received'::text) AND (webhook_events.waiting_for = upstreams.name) AND (webhook_events.available_at > (GREATEST(upstreams.paused_until, now()) + '01:00:00'::interval)) AND (NOT ((upstreams.daily_budget > 0) AND (upstreams.calls_today >= upstreams.daily_budget))))
                 LIMIT 1000) w) AS put_off
   FROM public.upstreams;

--
-- Name: VIEW health_upstreams; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.health_upstreams IS 'What /health says about each upstream. Seconds still paused; null where it never was. A budget of 0 is none. waiting ends at 10,000. put_off: those that are due over an hour after the pause; ends at 1,000.';

--
-- Name: intake_minutes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.intake_minutes (
    minute timestamp with time zone NOT NULL,
    delivered integer DEFAULT 0 NOT NULL,
    duplicates integer DEFAULT 0 NOT NULL,
    refused integer DEFAULT 0 NOT NULL,
    rejected integer DEFAULT 0 NOT NULL
);

--
-- Name: TABLE intake_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.intake_minutes IS 'What all web processes took in, by the minute: new events, duplicates, refused deliveries (401), rejected elements. A minute without any has no row. Kept for ten weeks.';

--
-- Name: lead_people; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lead_people (
    lead_id text NOT NULL,
    cpf text NOT NULL,
    found_by text NOT NULL,
    event_id uuid NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT lead_people_found_by_check CHECK ((found_by = ANY (ARRAY['phone'::text, 'email'::text, 'both'::text])))
);

--
-- Name: leads; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.leads (
    lead_id text NOT NULL,
    name text,
    phone text,
    email text,
    closed boolean DEFAULT false NOT NULL,
    seller_id text,
    seller_name text,
    facts_updated_at timestamp with time zone NOT NULL,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone DEFAULT now() NOT NULL
);

--
-- Name: TABLE leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.leads IS 'What we last knew of a lead. A partial payload changes only what it names.';

--
-- Name: COLUMN leads.seller_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leads.seller_id IS 'The seller to whom C2S gave the lead, as the last payload said.';

--
-- Name: COLUMN leads.last_seen_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leads.last_seen_at IS 'When an event last told of this lead; retention counts from here.';

--
-- Name: operator_actions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.operator_actions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    actor text NOT NULL,
    via text NOT NULL,
    verb text NOT NULL,
    filter jsonb DEFAULT '{}'::jsonb NOT NULL,
    reason text,
    state text DEFAULT 'planned'::text NOT NULL,
    planned integer DEFAULT 0 NOT NULL,
    done integer DEFAULT 0 NOT NULL,
    skipped integer DEFAULT 0 NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT operator_actions_state_check CHECK ((state = ANY (ARRAY['planned'::text, 'running'::text, 'done'::text, 'stopped'::text]))),
    CONSTRAINT operator_actions_via_check CHECK ((via = ANY (ARRAY['cli'::text, 'api'::text, 'console'::text])))
);

--
-- Name: TABLE operator_actions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.operator_actions IS 'What people did: who, from where, to which events, planned and done.';

--
-- Name: paid_calls; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.paid_calls (
    day date DEFAULT ((clock_timestamp() AT TIME ZONE 'America/Sao_Paulo'::text))::date NOT NULL,
    upstream text NOT NULL,
    kind text NOT NULL,
    found boolean
);

--
-- Name: TABLE paid_calls; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.paid_calls IS 'What was paid, a row for each question: written with its answer. See v_spend.';

--
-- Name: COLUMN paid_calls.found; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.paid_calls.found IS 'Whether the answer named anybody; null where the answer was lost, so that the question was perhaps paid.';

--
-- Name: people; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.people (
    cpf text NOT NULL,
    profile jsonb,
    fetched_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    profile_fetched_at timestamp with time zone,
    full_name text GENERATED ALWAYS AS ((profile ->> 'name'::text)) STORED,
    birth_date date GENERATED ALWAYS AS (make_date((substr((profile ->> 'birth_date'::text), 1, 4))::integer, (substr((profile ->> 'birth_date'::text), 6, 2))::integer, (substr((profile ->> 'birth_date'::text), 9, 2))::integer)) STORED,
    sex text GENERATED ALWAYS AS ((profile ->> 'sex'::text)) STORED,
    mother text GENERATED ALWAYS AS ((profile ->> 'mother'::text)) STORED,
    marital_status text GENERATED ALWAYS AS ((profile ->> 'marital_status'::text)) STORED,
    education text GENERATED ALWAYS AS ((profile ->> 'education'::text)) STORED,
    occupation text GENERATED ALWAYS AS ((profile ->> 'occupation'::text)) STORED,
    deceased boolean GENERATED ALWAYS AS (
CASE
    WHEN (profile IS NOT NULL) THEN COALESCE(((profile ->> 'deceased'::text))::boolean, false)
    ELSE NULL::boolean
END) STORED,
    irregular text GENERATED ALWAYS AS ((profile ->> 'irregular'::text)) STORED,
    income numeric(12,2) GENERATED ALWAYS AS (((profile ->> 'income'::text))::numeric) STORED,
    income_from numeric(12,2) GENERATED ALWAYS AS ((((profile -> 'income_range'::text) ->> 0))::numeric) STORED,
    income_to numeric(12,2) GENERATED ALWAYS AS ((((profile -> 'income_range'::text) ->> 1))::numeric) STORED,
    purchasing_power text GENERATED ALWAYS AS ((profile ->> 'purchasing_power'::text)) STORED,
    credit_score integer GENERATED ALWAYS AS (((profile ->> 'credit_score'::text))::integer) STORED,
    credit_risk text GENERATED ALWAYS AS ((profile ->> 'credit_risk'::text)) STORED,
    CONSTRAINT people_cpf_check CHECK ((cpf ~ '^[0-9]{11}$'::text))
);

--
-- Name: TABLE people; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.people IS 'One person by CPF, with the sections of the record that we use. profile is null: the Work API has no record.';

--
-- Name: COLUMN people.fetched_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.people.fetched_at IS 'When the newest answer was asked for, be it a record or "no record".';

--
-- Name: COLUMN people.profile_fetched_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.people.profile_fetched_at IS 'When the record that is kept here was asked for.';

--
-- Name: COLUMN people.irregular; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.people.irregular IS 'The CPF''s standing at the tax office where it is not regular; null for a regular person.';

--
-- Name: COLUMN people.income; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.people.income IS 'R$ a month as the record has it, before INCOME_MULTIPLIER.';

--
-- Name: person_addresses; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.person_addresses (
    cpf text NOT NULL,
    address_key text NOT NULL,
    source text NOT NULL,
    rank integer NOT NULL,
    street_type text,
    street text,
    number text,
    complement text,
    district text,
    city text,
    state text,
    postcode text,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL
);

--
-- Name: TABLE person_addresses; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.person_addresses IS 'Addresses of a person. address_key is street (without accents and case), number and postcode or city: it makes two spellings one address.';

--
-- Name: person_companies; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.person_companies (
    cpf text NOT NULL,
    cnpj text NOT NULL,
    source text NOT NULL,
    rank integer NOT NULL,
    name text,
    relation text,
    since date,
    active boolean,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL
);

--
-- Name: TABLE person_companies; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.person_companies IS 'Companies that a person owns or manages, or did (active is false).';

--
-- Name: person_emails; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.person_emails (
    cpf text NOT NULL,
    email text NOT NULL,
    source text NOT NULL,
    rank integer NOT NULL,
    priority text,
    quality text,
    personal boolean,
    blacklisted boolean,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL
);

--
-- Name: TABLE person_emails; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.person_emails IS 'E-mail addresses of a person, lower case. priority and quality are the source''s own words.';

--
-- Name: person_phones; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.person_phones (
    cpf text NOT NULL,
    phone text NOT NULL,
    source text NOT NULL,
    rank integer NOT NULL,
    kind text,
    operator text,
    active boolean,
    whatsapp boolean,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL
);

--
-- Name: TABLE person_phones; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.person_phones IS 'Phones of a person, as +55 and number. Those with one last_seen_at are from one record; rank 1 is its best.';

--
-- Name: restores; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.restores (
    id bigint NOT NULL,
    noticed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    why text NOT NULL,
    identity text NOT NULL,
    since timestamp with time zone,
    CONSTRAINT restores_why_check CHECK ((why = ANY (ARRAY['first_start'::text, 'identity'::text, 'counter'::text, 'person'::text])))
);

--
-- Name: TABLE restores; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.restores IS 'When the database was found to have gone back in time, and by what. The newest identity is the one we know.';

--
-- Name: COLUMN restores.since; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.restores.since IS 'What happened after this may be missing, where a person said so.';

--
-- Name: restores_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.restores ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.restores_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

--
-- Name: schema_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

--
-- Name: subscriptions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.subscriptions (
    action text NOT NULL,
    address text NOT NULL,
    asked_at timestamp with time zone DEFAULT now() NOT NULL
);

--
-- Name: TABLE subscriptions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.subscriptions IS 'What C2S was last asked to deliver, and where; C2S cannot be asked. The token in the address is masked.';

--
-- Name: suppressions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.suppressions (
    hash text NOT NULL,
    kind text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT suppressions_kind_check CHECK ((kind = ANY (ARRAY['cpf'::text, 'phone'::text, 'email'::text])))
);

--
-- Name: TABLE suppressions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.suppressions IS 'People and contacts that must not be processed: keyed hashes, so that the list names nobody. Their events end ignored.';

--
-- Name: v_explain; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_explain AS
 SELECT e.event_id,
    e.lead_id,
        CASE
            WHEN (e.status = 'processing'::text) THEN
            CASE
                WHEN (e.lease_expires_at < (now() - '00:01:00'::interval)) THEN 'stuck'::text
                ELSE 'running'::text
            END
            WHEN ((e.status = 'received'::text) AND (e.available_at <= now())) THEN
            CASE
                WHEN (p.beating = 0) THEN 'no_poller'::text
                WHEN (b.busy_event IS NOT NULL) THEN 'lead_busy'::text
                WHEN e.suspect THEN 'suspect_turn'::text
                ELSE 'queued'::text
            END
            WHEN (e.status = 'received'::text) THEN
            CASE
                WHEN (((u.paused_until IS NOT NULL) AND (u.pause_reason ~~ 'credential refused%'::text)) OR (e.waiting_reason = 'credential'::text)) THEN 'credential_refused'::text
                WHEN (e.waiting_reason = 'paused'::text) THEN 'upstream_paused'::text
                WHEN (e.waiting_reason = 'budget'::text) THEN 'budget_spent'::text
                WHEN (e.waiting_reason = 'slot'::text) THEN 'rate_limited'::text
                WHEN (e.waiting_reason = 'throttled'::text) THEN 'throttled'::text
                WHEN (e.waiting_reason = 'read_back'::text) THEN 'reading_back'::text
                WHEN (e.waiting_reason = 'database'::text) THEN 'database_was_away'::text
                WHEN (e.error_kind IS NOT NULL) THEN 'backing_off'::text
                ELSE 'scheduled'::text
            END
            WHEN (e.status = 'failed'::text) THEN
            CASE
                WHEN (o.open_status = 'sending'::text) THEN 'delivery_unclear'::text
                WHEN (e.error_message ~~ '%gave up at the age limit'::text) THEN 'too_old'::text
                WHEN (e.error_kind = 'upstream_refused'::text) THEN 'refused'::text
                WHEN (e.error_kind = 'upstream_unreadable'::text) THEN 'unreadable'::text
                WHEN (e.error_kind = 'upstream_unavailable'::text) THEN 'too_old'::text
                ELSE COALESCE(e.error_kind, 'given_up'::text)
            END
            WHEN ((e.outcome_detail ->> 'cause'::text) IS NOT NULL) THEN (e.outcome_detail ->> 'cause'::text)
            WHEN (e.outcome = ANY (ARRAY['enriched'::text, 'partial'::text])) THEN
            CASE
                WHEN (t.told_at IS NULL) THEN 'not_told'::text
                WHEN (t.told_at >= e.received_at) THEN 'told'::text
                ELSE 'told_before'::text
            END
            WHEN (e.outcome = 'unchanged'::text) THEN
            CASE
                WHEN (((e.outcome_detail ->> 'echo'::text) = t.told_ref) AND (e.received_at < (t.told_at + '01:00:00'::interval))) THEN 'echo'::text
                ELSE 'no_news'::text
            END
            WHEN (e.outcome = 'not_found'::text) THEN 'nobody_known'::text
            WHEN (e.outcome = 'ignored'::text) THEN 'closed'::text
            ELSE COALESCE(e.outcome, 'completed_by_hand'::text)
        END AS cause,
    e.status,
    e.outcome,
    e.hook_action,
    e.received_at,
    e.updated_at,
    e.available_at,
    e.processed_at,
    e.attempts,
    e.max_attempts,
    e.waiting_for,
    e.waiting_reason,
    e.error_kind,
    e.error_message,
    e.error_step,
    e.error_group,
    m.muted_since,
    COALESCE(e.waiting_for, e.error_upstream) AS upstream,
    e.claimed_by,
    e.claimed_at,
    e.lease_expires_at,
    u.paused_since,
    u.paused_until,
    u.pause_reason,
    u.failures,
    u.daily_budget,
    u.calls_today,
    u.min_interval_seconds,
    p.beating AS pollers_beating,
    p.last_beat_at,
    b.busy_event,
    b.busy_since,
    n.newer_event,
    n.newer_at,
    n.newer_end,
    t.told_ref,
    t.told_at,
    t.told_proof,
    o.open_ref,
    o.open_message,
    o.open_status,
    o.restored_at,
    e.outcome_detail
   FROM (((((((public.v_events e
     LEFT JOIN public.v_muted m USING (error_group))
     LEFT JOIN LATERAL ( SELECT upstreams.paused_since,
            upstreams.paused_until,
            upstreams.reason AS pause_reason,
            upstreams.failures,
            upstreams.daily_budget,
            upstreams.calls_today,
            (EXTRACT(epoch FROM upstreams.min_interval))::double precision AS min_interval_seconds
           FROM public.upstreams
          WHERE (upstreams.name = COALESCE(e.waiting_for, e.error_upstream))) u ON (true))
     CROSS JOIN LATERAL ( SELECT max(pollers.beat_at) AS last_beat_at,
            count(*) FILTER (WHERE (pollers.beat_at > (now() - '00:01:00'::interval))) AS beating
           FROM public.pollers) p)
     LEFT JOIN LATERAL ( SELECT webhook_events.id AS busy_event,
            webhook_events.claimed_at AS busy_since
           FROM public.webhook_events
          WHERE ((webhook_events.lead_id = e.lead_id) AND (webhook_events.status = 'processing'::text) AND (webhook_events.id <> e.event_id))) b ON (true))
     LEFT JOIN LATERAL ( SELECT webhook_events.id AS newer_event,
            webhook_events.received_at AS newer_at,
            COALESCE(webhook_events.outcome, webhook_events.status) AS newer_end
           FROM public.webhook_events
          WHERE ((webhook_events.lead_id = e.lead_id) AND (webhook_events.updated_at > e.updated_at))
          ORDER BY webhook_events.updated_at DESC
         LIMIT 1) n ON (true))
     LEFT JOIN LATERAL ( SELECT lead_messages.ref AS told_ref,
            lead_messages.sent_at AS told_at,
            lead_messages.proof AS told_proof
           FROM public.lead_messages
          WHERE ((lead_messages.lead_id = e.lead_id) AND (lead_messages.status = 'sent'::text))
          ORDER BY lead_messages.sent_at DESC
         LIMIT 1) t ON (true))
     LEFT JOIN LATERAL ( SELECT lead_messages.id AS open_message,
            lead_messages.ref AS open_ref,
            lead_messages.status AS open_status,
                CASE
                    WHEN ((lead_messages.status = 'sending'::text) AND (lead_messages.sends = 0)) THEN lead_messages.sending_at
                    ELSE NULL::timestamp with time zone
                END AS restored_at
           FROM public.lead_messages
          WHERE ((lead_messages.lead_id = e.lead_id) AND (lead_messages.status <> 'sent'::text))
          ORDER BY (lead_messages.status = 'sending'::text) DESC, lead_messages.created_at DESC
         LIMIT 1) o ON (true));

--
-- Name: VIEW v_explain; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_explain IS 'Why an event stands where it stands: the cause as a stable code, and its facts. Ask for one lead or event.';

--
-- Name: COLUMN v_explain.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.event_id IS 'Id of the event: webhook_events.id.';

--
-- Name: COLUMN v_explain.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.lead_id IS 'C2S''s id of the lead.';

--
-- Name: COLUMN v_explain.cause; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.cause IS 'The stable code of why it stands there.';

--
-- Name: COLUMN v_explain.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.status IS 'received, processing, completed or failed; of a message: pending, sending or sent.';

--
-- Name: COLUMN v_explain.outcome; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.outcome IS 'How a completed event ended.';

--
-- Name: COLUMN v_explain.hook_action; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.hook_action IS 'C2S''s name of what happened, for example on_create_lead.';

--
-- Name: COLUMN v_explain.received_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.received_at IS 'When the webhook arrived.';

--
-- Name: COLUMN v_explain.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.updated_at IS 'The payload''s updated_at: with the lead it is the delivery''s key.';

--
-- Name: COLUMN v_explain.available_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.available_at IS 'When a received event is due.';

--
-- Name: COLUMN v_explain.processed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.processed_at IS 'When the event was completed or failed.';

--
-- Name: COLUMN v_explain.attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.attempts IS 'Attempts that were spent.';

--
-- Name: COLUMN v_explain.max_attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.max_attempts IS 'Attempts after which the event fails.';

--
-- Name: COLUMN v_explain.waiting_for; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.waiting_for IS 'The upstream that a received event waits for.';

--
-- Name: COLUMN v_explain.waiting_reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.waiting_reason IS 'Why a received event waits, as a code.';

--
-- Name: COLUMN v_explain.error_kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.error_kind IS 'Kind of the error, as a code.';

--
-- Name: COLUMN v_explain.error_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.error_message IS 'The error as a sentence, without contacts and secrets.';

--
-- Name: COLUMN v_explain.error_step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.error_step IS 'The step in which the attempt ended.';

--
-- Name: COLUMN v_explain.error_group; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.error_group IS 'Fingerprint of the error without its ids and numbers: the filter --error.';

--
-- Name: COLUMN v_explain.muted_since; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.muted_since IS 'Since when no alert counts this error; null where it is not muted.';

--
-- Name: COLUMN v_explain.upstream; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.upstream IS 'The upstream that it waits for or that its error names.';

--
-- Name: COLUMN v_explain.claimed_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.claimed_by IS 'The poller that works on it.';

--
-- Name: COLUMN v_explain.claimed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.claimed_at IS 'When the poller took it.';

--
-- Name: COLUMN v_explain.lease_expires_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.lease_expires_at IS 'When the lease ends unless the poller renews it.';

--
-- Name: COLUMN v_explain.paused_since; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.paused_since IS 'When that upstream''s pause began.';

--
-- Name: COLUMN v_explain.paused_until; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.paused_until IS 'When that upstream is tried again.';

--
-- Name: COLUMN v_explain.pause_reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.pause_reason IS 'Why it is paused.';

--
-- Name: COLUMN v_explain.failures; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.failures IS 'Its failures in a row.';

--
-- Name: COLUMN v_explain.daily_budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.daily_budget IS 'Paid calls allowed a day; 0 for no limit.';

--
-- Name: COLUMN v_explain.calls_today; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.calls_today IS 'Calls counted today.';

--
-- Name: COLUMN v_explain.min_interval_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.min_interval_seconds IS 'Seconds between two calls to it.';

--
-- Name: COLUMN v_explain.pollers_beating; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.pollers_beating IS 'Pollers that gave a sign of life within the last minute.';

--
-- Name: COLUMN v_explain.last_beat_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.last_beat_at IS 'The last sign of life of any poller.';

--
-- Name: COLUMN v_explain.busy_event; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.busy_event IS 'Another event of the lead that is worked on.';

--
-- Name: COLUMN v_explain.busy_since; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.busy_since IS 'Since when.';

--
-- Name: COLUMN v_explain.newer_event; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.newer_event IS 'The lead''s newest event, where it is newer than this one.';

--
-- Name: COLUMN v_explain.newer_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.newer_at IS 'When that one arrived.';

--
-- Name: COLUMN v_explain.newer_end; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.newer_end IS 'How that one ended or stands.';

--
-- Name: COLUMN v_explain.told_ref; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.told_ref IS 'Ref of the lead''s last sent message.';

--
-- Name: COLUMN v_explain.told_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.told_at IS 'When the seller was last told.';

--
-- Name: COLUMN v_explain.told_proof; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.told_proof IS 'What proves it.';

--
-- Name: COLUMN v_explain.open_ref; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.open_ref IS 'Its ref.';

--
-- Name: COLUMN v_explain.open_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.open_message IS 'Id of a message of the lead that is not proven to be delivered.';

--
-- Name: COLUMN v_explain.open_status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.open_status IS 'pending: not sent yet. sending: delivery not clear.';

--
-- Name: COLUMN v_explain.restored_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.restored_at IS 'When the restore was noticed that the open message may have been sent before.';

--
-- Name: COLUMN v_explain.outcome_detail; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_explain.outcome_detail IS 'What the outcome or the error rests on; see webhook_events.';

--
-- Name: v_failures; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_failures AS
 SELECT f.error_group,
    e.error_kind,
    e.error_upstream,
    e.error_step,
    f.events,
    f.leads,
    f.first_at,
    f.newest_at,
    e.error_message AS newest_message,
    e.event_id AS newest_event,
    e.lead_id AS newest_lead,
    m.muted_since
   FROM ((( SELECT newest.error_group,
            count(*) AS events,
            count(DISTINCT newest.lead_id) AS leads,
            min(newest.received_at) AS first_at,
            max(newest.received_at) AS newest_at,
            (array_agg(newest.event_id ORDER BY newest.received_at DESC))[1] AS newest
           FROM ( SELECT v_events.event_id,
                    v_events.lead_id,
                    v_events.updated_at,
                    v_events.hook_action,
                    v_events.status,
                    v_events.outcome,
                    v_events.attempts,
                    v_events.max_attempts,
                    v_events.received_at,
                    v_events.available_at,
                    v_events.processed_at,
                    v_events.waiting_for,
                    v_events.waiting_reason,
                    v_events.error_kind,
                    v_events.error_upstream,
                    v_events.error_step,
                    v_events.error_message,
                    v_events.error_group,
                    v_events.outcome_detail,
                    v_events.claimed_by,
                    v_events.claimed_at,
                    v_events.lease_expires_at,
                    v_events.suspect,
                    v_events.fingerprint
                   FROM public.v_events
                  WHERE (v_events.status = 'failed'::text)
                  ORDER BY v_events.received_at DESC
                 LIMIT 10000) newest
          GROUP BY newest.error_group) f
     JOIN public.v_events e ON ((e.event_id = f.newest)))
     LEFT JOIN public.v_muted m ON ((m.error_group = f.error_group)));

--
-- Name: VIEW v_failures; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_failures IS 'The newest 10,000 failed events in groups of one error each, with its newest case.';

--
-- Name: COLUMN v_failures.error_group; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_failures.error_group IS 'Fingerprint of the error without its ids and numbers: the filter --error.';

--
-- Name: COLUMN v_failures.error_kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_failures.error_kind IS 'Kind of the error, as a code.';

--
-- Name: COLUMN v_failures.error_upstream; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_failures.error_upstream IS 'The upstream that the error names.';

--
-- Name: COLUMN v_failures.error_step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_failures.error_step IS 'The step in which the attempt ended.';

--
-- Name: COLUMN v_failures.events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_failures.events IS 'How many events.';

--
-- Name: COLUMN v_failures.leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_failures.leads IS 'How many leads.';

--
-- Name: COLUMN v_failures.first_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_failures.first_at IS 'When the first event of the group arrived.';

--
-- Name: COLUMN v_failures.newest_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_failures.newest_at IS 'When the newest event of the group arrived.';

--
-- Name: COLUMN v_failures.newest_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_failures.newest_message IS 'The newest event''s error as a sentence.';

--
-- Name: COLUMN v_failures.newest_event; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_failures.newest_event IS 'Id of the newest event of the group.';

--
-- Name: COLUMN v_failures.newest_lead; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_failures.newest_lead IS 'C2S''s id of the newest event''s lead.';

--
-- Name: COLUMN v_failures.muted_since; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_failures.muted_since IS 'Since when no alert counts this error; null where it is not muted.';

--
-- Name: v_found_share; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_found_share AS
 SELECT (e.outcome_detail ->> 'ddd'::text) AS ddd,
    (answer.value ->> 'source'::text) AS source,
    (answer.value ->> 'kind'::text) AS kind,
    count(*) AS answers,
    count(*) FILTER (WHERE (((answer.value ->> 'found'::text))::integer > 0)) AS found,
    count(*) FILTER (WHERE (((answer.value ->> 'found'::text))::integer = 0)) AS not_found,
    round(((100.0 * (count(*) FILTER (WHERE (((answer.value ->> 'found'::text))::integer > 0)))::numeric) / (count(*))::numeric), 1) AS found_percent
   FROM (public.webhook_events e
     CROSS JOIN LATERAL jsonb_array_elements((e.outcome_detail -> 'answers'::text)) answer(value))
  WHERE (e.received_at > (now() - '30 days'::interval))
  GROUP BY (e.outcome_detail ->> 'ddd'::text), (answer.value ->> 'source'::text), (answer.value ->> 'kind'::text);

--
-- Name: VIEW v_found_share; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_found_share IS 'How often a source knew somebody in the last 30 days, by DDD.';

--
-- Name: COLUMN v_found_share.ddd; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_found_share.ddd IS 'Area code of the lead''s first phone; null without one.';

--
-- Name: COLUMN v_found_share.source; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_found_share.source IS 'Who was asked.';

--
-- Name: COLUMN v_found_share.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_found_share.kind IS 'By what: phone, email or record.';

--
-- Name: COLUMN v_found_share.answers; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_found_share.answers IS 'How many answers, remembered ones included.';

--
-- Name: COLUMN v_found_share.found; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_found_share.found IS 'Answers that named somebody.';

--
-- Name: COLUMN v_found_share.not_found; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_found_share.not_found IS 'Those in which the source knew nobody.';

--
-- Name: COLUMN v_found_share.found_percent; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_found_share.found_percent IS 'Those in percent of all.';

--
-- Name: v_hit_rate; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_hit_rate AS
 WITH recent AS (
         SELECT s.source,
            s.kind,
            r.found,
            row_number() OVER (PARTITION BY s.source, s.kind ORDER BY r.fetched_at DESC) AS place
           FROM (( VALUES ('diretrix'::text,'phone'::text), ('diretrix'::text,'email'::text), ('work_api'::text,'phone'::text)) s(source, kind)
             CROSS JOIN LATERAL ( SELECT c.fetched_at,
                    (c.candidates <> '[]'::jsonb) AS found
                   FROM public.contact_lookups c
                  WHERE ((c.source = s.source) AND (c.kind = s.kind))
                  ORDER BY c.fetched_at DESC
                 LIMIT 550) r)
        UNION ALL
         SELECT 'work_api'::text,
            'record'::text,
            r.found,
            row_number() OVER (ORDER BY r.fetched_at DESC) AS row_number
           FROM ( SELECT people.fetched_at,
                    (NOT (people.profile_fetched_at IS DISTINCT FROM people.fetched_at)) AS found
                   FROM public.people
                  ORDER BY people.fetched_at DESC
                 LIMIT 550) r
        ), counted AS (
         SELECT recent.source,
            recent.kind,
            count(*) FILTER (WHERE (recent.place <= 50)) AS latest,
            count(*) FILTER (WHERE ((recent.place <= 50) AND recent.found)) AS latest_found,
            count(*) FILTER (WHERE (recent.place > 50)) AS earlier,
            count(*) FILTER (WHERE ((recent.place > 50) AND recent.found)) AS earlier_found
           FROM recent
          GROUP BY recent.source, recent.kind
        )
 SELECT source,
    kind,
    latest,
    latest_found,
    earlier,
    earlier_found,
    ((latest = 50) AND (earlier >= 100) AND ((latest_found)::numeric < ((((50 * earlier_found))::numeric / (earlier)::numeric) - ((3)::numeric * sqrt((((50)::numeric * ((earlier_found)::numeric / (earlier)::numeric)) * ((1)::numeric - ((earlier_found)::numeric / (earlier)::numeric)))))))) AS fell
   FROM counted;

--
-- Name: VIEW v_hit_rate; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_hit_rate IS 'How many of the latest 50 answers of each source found somebody, against the (up to 500) answers before them. fell: far too few to be chance.';

--
-- Name: COLUMN v_hit_rate.source; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_hit_rate.source IS 'Who was asked.';

--
-- Name: COLUMN v_hit_rate.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_hit_rate.kind IS 'By what: phone, email or record.';

--
-- Name: COLUMN v_hit_rate.latest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_hit_rate.latest IS 'Answers among the latest 50.';

--
-- Name: COLUMN v_hit_rate.latest_found; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_hit_rate.latest_found IS 'Those that found somebody.';

--
-- Name: COLUMN v_hit_rate.earlier; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_hit_rate.earlier IS 'Answers before them, at most 500.';

--
-- Name: COLUMN v_hit_rate.earlier_found; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_hit_rate.earlier_found IS 'Those that found somebody.';

--
-- Name: COLUMN v_hit_rate.fell; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_hit_rate.fell IS 'Far fewer than before: not chance.';

--
-- Name: v_in_flight; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_in_flight AS
 SELECT id AS event_id,
    lead_id,
    claimed_by,
    attempts,
    claimed_at,
    (lease_expires_at - now()) AS lease_left,
    (deadline_at - now()) AS deadline_left,
    (lease_expires_at < (now() - '00:01:00'::interval)) AS stuck
   FROM public.webhook_events
  WHERE (status = 'processing'::text);

--
-- Name: VIEW v_in_flight; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_in_flight IS 'What is worked on now. stuck: its lease ended a minute ago and nobody took it back, so no poller runs.';

--
-- Name: COLUMN v_in_flight.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_in_flight.event_id IS 'Id of the event: webhook_events.id.';

--
-- Name: COLUMN v_in_flight.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_in_flight.lead_id IS 'C2S''s id of the lead.';

--
-- Name: COLUMN v_in_flight.claimed_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_in_flight.claimed_by IS 'The poller that works on it.';

--
-- Name: COLUMN v_in_flight.attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_in_flight.attempts IS 'Attempts that were spent.';

--
-- Name: COLUMN v_in_flight.claimed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_in_flight.claimed_at IS 'When the poller took it.';

--
-- Name: COLUMN v_in_flight.lease_left; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_in_flight.lease_left IS 'Time until the lease ends.';

--
-- Name: COLUMN v_in_flight.deadline_left; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_in_flight.deadline_left IS 'Time until the attempt is ended, however alive its poller is.';

--
-- Name: COLUMN v_in_flight.stuck; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_in_flight.stuck IS 'The lease ended over a minute ago: no poller runs.';

--
-- Name: v_invalid_phones; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_invalid_phones AS
 SELECT l.lead_id,
    l.name,
    l.phone,
    e.skipped,
    l.seller_name,
    l.last_seen_at
   FROM (public.leads l
     JOIN LATERAL ( SELECT ( SELECT string_agg(word.value, ', '::text) AS string_agg
                   FROM jsonb_array_elements_text((webhook_events.outcome_detail -> 'skipped'::text)) word(value)
                  WHERE (word.value ~~ 'phone %'::text)) AS skipped
           FROM public.webhook_events
          WHERE ((webhook_events.lead_id = l.lead_id) AND (webhook_events.outcome_detail IS NOT NULL))
          ORDER BY webhook_events.updated_at DESC
         LIMIT 1) e ON ((e.skipped IS NOT NULL)));

--
-- Name: VIEW v_invalid_phones; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_invalid_phones IS 'Leads with a phone that cannot be looked up, and why.';

--
-- Name: COLUMN v_invalid_phones.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_invalid_phones.lead_id IS 'C2S''s id of the lead.';

--
-- Name: COLUMN v_invalid_phones.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_invalid_phones.name IS 'Of a poller: host, process and a random part. Of a lead: the customer''s name.';

--
-- Name: COLUMN v_invalid_phones.phone; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_invalid_phones.phone IS 'The phone texts as C2S has them.';

--
-- Name: COLUMN v_invalid_phones.skipped; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_invalid_phones.skipped IS 'Why they are not looked up.';

--
-- Name: COLUMN v_invalid_phones.seller_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_invalid_phones.seller_name IS 'The seller to whom C2S gave the lead.';

--
-- Name: COLUMN v_invalid_phones.last_seen_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_invalid_phones.last_seen_at IS 'When an event last told of it.';

--
-- Name: v_lead_history; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_lead_history AS
 SELECT webhook_events.lead_id,
    webhook_events.received_at AS at,
    'event received'::text AS what,
    COALESCE(webhook_events.hook_action, ''::text) AS detail,
    webhook_events.id AS event_id
   FROM public.webhook_events
UNION ALL
 SELECT e.lead_id,
    a.finished_at AS at,
    ((('attempt '::text || a.attempt) || ' '::text) || a.result) AS what,
    COALESCE(a.outcome, a.error_message, a.error_kind, ''::text) AS detail,
    a.event_id
   FROM (public.event_attempts a
     JOIN public.webhook_events e ON ((e.id = a.event_id)))
UNION ALL
 SELECT lead_messages.lead_id,
    COALESCE(lead_messages.sent_at, lead_messages.sending_at, lead_messages.created_at) AS at,
    ('message '::text || lead_messages.status) AS what,
    ('ref '::text || lead_messages.ref) AS detail,
    lead_messages.event_id
   FROM public.lead_messages;

--
-- Name: VIEW v_lead_history; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_lead_history IS 'All that happened to a lead. Ask it with where lead_id = … order by at.';

--
-- Name: COLUMN v_lead_history.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_lead_history.lead_id IS 'C2S''s id of the lead.';

--
-- Name: COLUMN v_lead_history.at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_lead_history.at IS 'When it happened.';

--
-- Name: COLUMN v_lead_history.what; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_lead_history.what IS 'What happened.';

--
-- Name: COLUMN v_lead_history.detail; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_lead_history.detail IS 'How it ended, or what it was about.';

--
-- Name: COLUMN v_lead_history.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_lead_history.event_id IS 'Id of the event: webhook_events.id.';

--
-- Name: v_leads; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_leads AS
 SELECT l.lead_id,
    l.name,
    l.closed,
    l.first_seen_at,
    l.last_seen_at,
    e.status,
    e.outcome,
    e.error_kind,
    e.error_message,
    w.people,
    w.cpfs,
    m.sent_at AS last_told_at,
    m.messages
   FROM (((public.leads l
     LEFT JOIN LATERAL ( SELECT webhook_events.status,
            webhook_events.outcome,
            webhook_events.error_kind,
            webhook_events.error_message
           FROM public.webhook_events
          WHERE (webhook_events.lead_id = l.lead_id)
          ORDER BY webhook_events.updated_at DESC
         LIMIT 1) e ON (true))
     LEFT JOIN LATERAL ( SELECT string_agg(p.full_name, ', '::text ORDER BY p.full_name) AS people,
            string_agg(public.masked_cpf(lp.cpf), ', '::text ORDER BY p.full_name) AS cpfs
           FROM (public.lead_people lp
             LEFT JOIN public.people p ON ((p.cpf = lp.cpf)))
          WHERE (lp.lead_id = l.lead_id)) w ON (true))
     LEFT JOIN LATERAL ( SELECT max(lead_messages.sent_at) AS sent_at,
            count(*) AS messages
           FROM public.lead_messages
          WHERE ((lead_messages.lead_id = l.lead_id) AND (lead_messages.status = 'sent'::text))) m ON (true));

--
-- Name: VIEW v_leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_leads IS 'One row per lead: how its newest event stands, who was found, when the seller was last told.';

--
-- Name: COLUMN v_leads.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.lead_id IS 'C2S''s id of the lead.';

--
-- Name: COLUMN v_leads.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.name IS 'Of a poller: host, process and a random part. Of a lead: the customer''s name.';

--
-- Name: COLUMN v_leads.closed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.closed IS 'Archived or done in C2S.';

--
-- Name: COLUMN v_leads.first_seen_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.first_seen_at IS 'When it was first seen.';

--
-- Name: COLUMN v_leads.last_seen_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.last_seen_at IS 'When an event last told of it.';

--
-- Name: COLUMN v_leads.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.status IS 'received, processing, completed or failed; of a message: pending, sending or sent.';

--
-- Name: COLUMN v_leads.outcome; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.outcome IS 'How a completed event ended.';

--
-- Name: COLUMN v_leads.error_kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.error_kind IS 'Kind of the error, as a code.';

--
-- Name: COLUMN v_leads.error_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.error_message IS 'The error as a sentence, without contacts and secrets.';

--
-- Name: COLUMN v_leads.people; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.people IS 'Who was found for the lead.';

--
-- Name: COLUMN v_leads.cpfs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.cpfs IS 'The CPFs of these people, masked.';

--
-- Name: COLUMN v_leads.last_told_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.last_told_at IS 'When the seller was last told.';

--
-- Name: COLUMN v_leads.messages; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads.messages IS 'Messages that were sent.';

--
-- Name: v_leads_by_seller; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_leads_by_seller AS
 SELECT COALESCE(l.seller_name, l.seller_id, '(no seller)'::text) AS seller,
    count(*) AS leads,
    count(m.sent_at) AS told,
    round(((100.0 * (count(m.sent_at))::numeric) / (count(*))::numeric), 1) AS told_percent,
    round(((percentile_cont((0.5)::double precision) WITHIN GROUP (ORDER BY ((EXTRACT(epoch FROM (m.sent_at - e.received_at)))::double precision)) / (60)::double precision))::numeric, 1) AS median_minutes
   FROM ((public.leads l
     JOIN LATERAL ( SELECT webhook_events.received_at
           FROM public.webhook_events
          WHERE (webhook_events.lead_id = l.lead_id)
          ORDER BY webhook_events.updated_at
         LIMIT 1) e ON (true))
     LEFT JOIN LATERAL ( SELECT lead_messages.sent_at
           FROM public.lead_messages
          WHERE ((lead_messages.lead_id = l.lead_id) AND (lead_messages.status = 'sent'::text))
          ORDER BY lead_messages.sent_at
         LIMIT 1) m ON (true))
  WHERE (l.first_seen_at > (now() - '30 days'::interval))
  GROUP BY COALESCE(l.seller_name, l.seller_id, '(no seller)'::text);

--
-- Name: VIEW v_leads_by_seller; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_leads_by_seller IS 'The last 30 days'' leads by seller: how many arrived, how many were told about, minutes to the first message.';

--
-- Name: COLUMN v_leads_by_seller.seller; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads_by_seller.seller IS 'The seller''s name, else the id, else (no seller).';

--
-- Name: COLUMN v_leads_by_seller.leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads_by_seller.leads IS 'How many leads.';

--
-- Name: COLUMN v_leads_by_seller.told; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads_by_seller.told IS 'Leads whose seller was told something.';

--
-- Name: COLUMN v_leads_by_seller.told_percent; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads_by_seller.told_percent IS 'Those in percent of all.';

--
-- Name: COLUMN v_leads_by_seller.median_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_leads_by_seller.median_minutes IS 'Median minutes from the first webhook to the first message.';

--
-- Name: v_messages_open; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_messages_open AS
 SELECT m.id AS message_id,
    m.lead_id,
    m.ref,
    m.status,
    m.sends,
    m.looks,
    (now() - COALESCE(m.sending_at, m.created_at)) AS for_how_long,
    m.event_id,
    e.status AS event_status,
    e.error_kind
   FROM (public.lead_messages m
     LEFT JOIN public.webhook_events e ON ((e.id = m.event_id)))
  WHERE (m.status <> 'sent'::text);

--
-- Name: VIEW v_messages_open; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_messages_open IS 'Messages that are not proven to be on their lead. sending with a failed event: a person must look.';

--
-- Name: COLUMN v_messages_open.message_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_open.message_id IS 'Id of the message: lead_messages.id.';

--
-- Name: COLUMN v_messages_open.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_open.lead_id IS 'C2S''s id of the lead.';

--
-- Name: COLUMN v_messages_open.ref; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_open.ref IS 'The message''s last line and its external_id at C2S.';

--
-- Name: COLUMN v_messages_open.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_open.status IS 'received, processing, completed or failed; of a message: pending, sending or sent.';

--
-- Name: COLUMN v_messages_open.sends; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_open.sends IS 'How often the message was given to the network.';

--
-- Name: COLUMN v_messages_open.looks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_open.looks IS 'Looks after the settle time that did not find it.';

--
-- Name: COLUMN v_messages_open.for_how_long; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_open.for_how_long IS 'Since it was sent, or written.';

--
-- Name: COLUMN v_messages_open.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_open.event_id IS 'Id of the event: webhook_events.id.';

--
-- Name: COLUMN v_messages_open.event_status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_open.event_status IS 'The status of the event that wrote the message.';

--
-- Name: COLUMN v_messages_open.error_kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_open.error_kind IS 'Kind of the error, as a code.';

--
-- Name: v_messages_sent; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_messages_sent AS
 SELECT m.sent_at,
    m.lead_id,
    l.seller_name,
    m.ref,
    m.proof,
    m.sends,
    m.id AS message_id,
    m.event_id
   FROM (public.lead_messages m
     LEFT JOIN public.leads l ON ((l.lead_id = m.lead_id)))
  WHERE (m.status = 'sent'::text);

--
-- Name: VIEW v_messages_sent; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_messages_sent IS 'The log of sent messages: when, to whom, proven how.';

--
-- Name: COLUMN v_messages_sent.sent_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_sent.sent_at IS 'When the delivery was proven.';

--
-- Name: COLUMN v_messages_sent.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_sent.lead_id IS 'C2S''s id of the lead.';

--
-- Name: COLUMN v_messages_sent.seller_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_sent.seller_name IS 'The seller to whom C2S gave the lead.';

--
-- Name: COLUMN v_messages_sent.ref; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_sent.ref IS 'The message''s last line and its external_id at C2S.';

--
-- Name: COLUMN v_messages_sent.proof; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_sent.proof IS 'What proves the delivery: answer, read_back, webhook or person.';

--
-- Name: COLUMN v_messages_sent.sends; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_sent.sends IS 'How often the message was given to the network.';

--
-- Name: COLUMN v_messages_sent.message_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_sent.message_id IS 'Id of the message: lead_messages.id.';

--
-- Name: COLUMN v_messages_sent.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_messages_sent.event_id IS 'Id of the event: webhook_events.id.';

--
-- Name: v_people; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_people AS
 SELECT public.masked_cpf(cpf) AS cpf,
    full_name,
    birth_date,
    (EXTRACT(year FROM age((birth_date)::timestamp with time zone)))::integer AS age,
    sex,
    mother,
    marital_status,
    education,
    occupation,
    deceased,
    irregular,
    income,
    income_from,
    income_to,
    purchasing_power,
    credit_score,
    credit_risk,
    (profile IS NOT NULL) AS has_record,
    profile_fetched_at,
    (expires_at > now()) AS fresh,
    ( SELECT count(*) AS count
           FROM public.lead_people l
          WHERE (l.cpf = p.cpf)) AS leads,
    ( SELECT f.phone
           FROM public.person_phones f
          WHERE (f.cpf = p.cpf)
          ORDER BY f.last_seen_at DESC, f.rank
         LIMIT 1) AS best_phone,
    ( SELECT m.email
           FROM public.person_emails m
          WHERE (m.cpf = p.cpf)
          ORDER BY m.last_seen_at DESC, m.rank
         LIMIT 1) AS best_email
   FROM public.people p;

--
-- Name: VIEW v_people; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_people IS 'One row per person, with the best contacts and how many leads led to them. The CPF is masked.';

--
-- Name: COLUMN v_people.cpf; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.cpf IS 'The CPF, masked.';

--
-- Name: COLUMN v_people.full_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.full_name IS 'The name in the record.';

--
-- Name: COLUMN v_people.birth_date; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.birth_date IS 'The date of birth in the record.';

--
-- Name: COLUMN v_people.age; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.age IS 'Years since then.';

--
-- Name: COLUMN v_people.sex; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.sex IS 'As the record has it.';

--
-- Name: COLUMN v_people.mother; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.mother IS 'The mother''s name.';

--
-- Name: COLUMN v_people.marital_status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.marital_status IS 'As the record has it.';

--
-- Name: COLUMN v_people.education; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.education IS 'As the record has it.';

--
-- Name: COLUMN v_people.occupation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.occupation IS 'As the record has it.';

--
-- Name: COLUMN v_people.deceased; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.deceased IS 'The record says so.';

--
-- Name: COLUMN v_people.irregular; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.irregular IS 'The CPF''s standing at the tax office where it is not regular.';

--
-- Name: COLUMN v_people.income; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.income IS 'R$ a month as the record has it.';

--
-- Name: COLUMN v_people.income_from; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.income_from IS 'Lower end of the income range, R$ a month.';

--
-- Name: COLUMN v_people.income_to; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.income_to IS 'Upper end of the income range, R$ a month.';

--
-- Name: COLUMN v_people.purchasing_power; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.purchasing_power IS 'As the record has it.';

--
-- Name: COLUMN v_people.credit_score; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.credit_score IS 'As the record has it.';

--
-- Name: COLUMN v_people.credit_risk; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.credit_risk IS 'As the record has it.';

--
-- Name: COLUMN v_people.has_record; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.has_record IS 'The Work API has a record.';

--
-- Name: COLUMN v_people.profile_fetched_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.profile_fetched_at IS 'When the record was asked for.';

--
-- Name: COLUMN v_people.fresh; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.fresh IS 'It is used without asking again.';

--
-- Name: COLUMN v_people.leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.leads IS 'How many leads.';

--
-- Name: COLUMN v_people.best_phone; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.best_phone IS 'The best phone of the newest record.';

--
-- Name: COLUMN v_people.best_email; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_people.best_email IS 'The best e-mail address of the newest record.';

--
-- Name: v_pollers; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_pollers AS
 SELECT name,
    started_at,
    beat_at,
    (now() - beat_at) AS silent_for,
    in_flight,
    concurrency,
    (beat_at > (now() - '00:01:00'::interval)) AS beating,
    version,
    metrics
   FROM public.pollers;

--
-- Name: VIEW v_pollers; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_pollers IS 'Pollers by their last sign of life; one that is silent for an hour is forgotten.';

--
-- Name: COLUMN v_pollers.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_pollers.name IS 'Of a poller: host, process and a random part. Of a lead: the customer''s name.';

--
-- Name: COLUMN v_pollers.started_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_pollers.started_at IS 'When it started.';

--
-- Name: COLUMN v_pollers.beat_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_pollers.beat_at IS 'Its last sign of life.';

--
-- Name: COLUMN v_pollers.silent_for; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_pollers.silent_for IS 'Time since its last sign of life.';

--
-- Name: COLUMN v_pollers.in_flight; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_pollers.in_flight IS 'Events it works on.';

--
-- Name: COLUMN v_pollers.concurrency; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_pollers.concurrency IS 'Events it works on at most.';

--
-- Name: COLUMN v_pollers.beating; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_pollers.beating IS 'It gave a sign of life within the last minute.';

--
-- Name: COLUMN v_pollers.version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_pollers.version IS 'The program that it runs, with the revision where the image knows it.';

--
-- Name: COLUMN v_pollers.metrics; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_pollers.metrics IS 'Where it serves /metrics and /health; null where its port was taken.';

--
-- Name: v_queue; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_queue AS
 SELECT status,
    waiting_for,
    waiting_reason,
    count(*) AS events,
    count(*) FILTER (WHERE ((available_at <= now()) AND (status = 'received'::text))) AS due,
    (now() - min(available_at) FILTER (WHERE ((available_at <= now()) AND (status = 'received'::text)))) AS oldest_due_for,
    min(available_at) FILTER (WHERE ((available_at > now()) AND (status = 'received'::text))) AS next_due_at
   FROM (( SELECT webhook_events.status,
            webhook_events.waiting_for,
            webhook_events.waiting_reason,
            webhook_events.available_at
           FROM public.webhook_events
          WHERE ((webhook_events.status = 'received'::text) AND (NOT webhook_events.suspect))
          ORDER BY webhook_events.available_at
         LIMIT 10000)
        UNION ALL
        ( SELECT webhook_events.status,
            webhook_events.waiting_for,
            webhook_events.waiting_reason,
            webhook_events.available_at
           FROM public.webhook_events
          WHERE ((webhook_events.status = 'received'::text) AND webhook_events.suspect)
          ORDER BY webhook_events.available_at
         LIMIT 10000)
        UNION ALL
         SELECT webhook_events.status,
            webhook_events.waiting_for,
            webhook_events.waiting_reason,
            webhook_events.available_at
           FROM public.webhook_events
          WHERE (webhook_events.status = 'processing'::text)
        UNION ALL
        ( SELECT webhook_events.status,
            NULL::text,
            NULL::text,
            webhook_events.available_at
           FROM public.webhook_events
          WHERE (webhook_events.status = 'failed'::text)
          ORDER BY webhook_events.received_at DESC
         LIMIT 10000)) e
  GROUP BY status, waiting_for, waiting_reason;

--
-- Name: VIEW v_queue; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_queue IS 'What waits, for whom and why, what is worked on and what failed; of each kind at most 10,000 are counted.';

--
-- Name: COLUMN v_queue.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_queue.status IS 'received, processing, completed or failed; of a message: pending, sending or sent.';

--
-- Name: COLUMN v_queue.waiting_for; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_queue.waiting_for IS 'The upstream that a received event waits for.';

--
-- Name: COLUMN v_queue.waiting_reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_queue.waiting_reason IS 'Why a received event waits, as a code.';

--
-- Name: COLUMN v_queue.events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_queue.events IS 'How many events.';

--
-- Name: COLUMN v_queue.due; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_queue.due IS 'How many of them are due.';

--
-- Name: COLUMN v_queue.oldest_due_for; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_queue.oldest_due_for IS 'How long the oldest due one has been due.';

--
-- Name: COLUMN v_queue.next_due_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_queue.next_due_at IS 'When the next one becomes due.';

--
-- Name: v_spend; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_spend AS
 SELECT day,
    upstream AS source,
    kind,
    count(*) FILTER (WHERE (found IS NOT NULL)) AS answers,
    count(*) FILTER (WHERE found) AS found,
    count(*) FILTER (WHERE (found IS NULL)) AS perhaps_paid
   FROM public.paid_calls
  GROUP BY day, upstream, kind;

--
-- Name: VIEW v_spend; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_spend IS 'Paid answers by day (America/Sao_Paulo), source and kind. perhaps_paid: questions whose answer was lost. Today''s calls, tries included, are upstreams.calls_today.';

--
-- Name: COLUMN v_spend.day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_spend.day IS 'The day in America/Sao_Paulo.';

--
-- Name: COLUMN v_spend.source; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_spend.source IS 'Who was asked.';

--
-- Name: COLUMN v_spend.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_spend.kind IS 'By what: phone, email or record.';

--
-- Name: COLUMN v_spend.answers; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_spend.answers IS 'How many answers, remembered ones included.';

--
-- Name: COLUMN v_spend.found; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_spend.found IS 'Answers that named somebody.';

--
-- Name: COLUMN v_spend.perhaps_paid; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_spend.perhaps_paid IS 'Questions whose answer was lost: nobody knows whether they were paid.';

--
-- Name: v_throughput; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_throughput AS
 SELECT to_timestamp(((floor((EXTRACT(epoch FROM processed_at) / (300)::numeric)) * (300)::numeric))::double precision) AS five_minutes,
    count(*) FILTER (WHERE (status = 'completed'::text)) AS completed,
    count(*) FILTER (WHERE (status = 'failed'::text)) AS failed,
    percentile_cont((0.5)::double precision) WITHIN GROUP (ORDER BY ((EXTRACT(epoch FROM (processed_at - received_at)))::double precision)) AS median_seconds,
    percentile_cont((0.95)::double precision) WITHIN GROUP (ORDER BY ((EXTRACT(epoch FROM (processed_at - received_at)))::double precision)) AS p95_seconds
   FROM public.webhook_events
  WHERE ((status = ANY (ARRAY['completed'::text, 'failed'::text])) AND (processed_at > (now() - '1 day'::interval)))
  GROUP BY (to_timestamp(((floor((EXTRACT(epoch FROM processed_at) / (300)::numeric)) * (300)::numeric))::double precision));

--
-- Name: VIEW v_throughput; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.v_throughput IS 'The last day in steps of five minutes: how much was settled, and how long after it was received.';

--
-- Name: COLUMN v_throughput.five_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_throughput.five_minutes IS 'Beginning of the five minutes.';

--
-- Name: COLUMN v_throughput.completed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_throughput.completed IS 'Events completed in them.';

--
-- Name: COLUMN v_throughput.failed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_throughput.failed IS 'Events failed in them.';

--
-- Name: COLUMN v_throughput.median_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_throughput.median_seconds IS 'Median from the webhook to the end.';

--
-- Name: COLUMN v_throughput.p95_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.v_throughput.p95_seconds IS '95th percentile from the webhook to the end.';

--
-- Name: alerts alerts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (key);

--
-- Name: answers_under_way answers_under_way_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.answers_under_way
    ADD CONSTRAINT answers_under_way_pkey PRIMARY KEY (what);

--
-- Name: contact_lookups contact_lookups_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contact_lookups
    ADD CONSTRAINT contact_lookups_pkey PRIMARY KEY (contact, kind, source);

--
-- Name: duties duties_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.duties
    ADD CONSTRAINT duties_pkey PRIMARY KEY (name);

--
-- Name: erased_leads erased_leads_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.erased_leads
    ADD CONSTRAINT erased_leads_pkey PRIMARY KEY (lead_id);

--
-- Name: erasures erasures_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (id);

--
-- Name: event_attempts event_attempts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.event_attempts
    ADD CONSTRAINT event_attempts_pkey PRIMARY KEY (event_id, lease_token);

--
-- Name: hash_key hash_key_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.hash_key
    ADD CONSTRAINT hash_key_pkey PRIMARY KEY (only_row);

--
-- Name: intake_minutes intake_minutes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.intake_minutes
    ADD CONSTRAINT intake_minutes_pkey PRIMARY KEY (minute);

--
-- Name: lead_messages lead_messages_lead_id_content_key_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_messages
    ADD CONSTRAINT lead_messages_lead_id_content_key_key UNIQUE (lead_id, content_key);

--
-- Name: lead_messages lead_messages_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_messages
    ADD CONSTRAINT lead_messages_pkey PRIMARY KEY (id);

--
-- Name: lead_people lead_people_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_people
    ADD CONSTRAINT lead_people_pkey PRIMARY KEY (lead_id, cpf);

--
-- Name: leads leads_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leads
    ADD CONSTRAINT leads_pkey PRIMARY KEY (lead_id);

--
-- Name: muted_errors muted_errors_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.muted_errors
    ADD CONSTRAINT muted_errors_pkey PRIMARY KEY (error_group);

--
-- Name: operator_actions operator_actions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.operator_actions
    ADD CONSTRAINT operator_actions_pkey PRIMARY KEY (id);

--
-- Name: people people_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.people
    ADD CONSTRAINT people_pkey PRIMARY KEY (cpf);

--
-- Name: person_addresses person_addresses_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.person_addresses
    ADD CONSTRAINT person_addresses_pkey PRIMARY KEY (cpf, address_key, source);

--
-- Name: person_companies person_companies_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.person_companies
    ADD CONSTRAINT person_companies_pkey PRIMARY KEY (cpf, cnpj, source);

--
-- Name: person_emails person_emails_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.person_emails
    ADD CONSTRAINT person_emails_pkey PRIMARY KEY (cpf, email, source);

--
-- Name: person_phones person_phones_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.person_phones
    ADD CONSTRAINT person_phones_pkey PRIMARY KEY (cpf, phone, source);

--
-- Name: pollers pollers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pollers
    ADD CONSTRAINT pollers_pkey PRIMARY KEY (name);

--
-- Name: read_backs read_backs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.read_backs
    ADD CONSTRAINT read_backs_pkey PRIMARY KEY (account);

--
-- Name: rejected_deliveries rejected_deliveries_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.rejected_deliveries
    ADD CONSTRAINT rejected_deliveries_pkey PRIMARY KEY (id);

--
-- Name: restores restores_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.restores
    ADD CONSTRAINT restores_pkey PRIMARY KEY (id);

--
-- Name: schema_migrations schema_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

--
-- Name: subscriptions subscriptions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (action);

--
-- Name: suppressions suppressions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.suppressions
    ADD CONSTRAINT suppressions_pkey PRIMARY KEY (hash);

--
-- Name: upstreams upstreams_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.upstreams
    ADD CONSTRAINT upstreams_pkey PRIMARY KEY (name);

--
-- Name: webhook_events webhook_events_lead_id_updated_at_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.webhook_events
    ADD CONSTRAINT webhook_events_lead_id_updated_at_key UNIQUE (lead_id, updated_at);

--
-- Name: webhook_events webhook_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.webhook_events
    ADD CONSTRAINT webhook_events_pkey PRIMARY KEY (id);

--
-- Name: contact_lookups_by_source; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX contact_lookups_by_source ON public.contact_lookups USING btree (source, kind, fetched_at);

--
-- Name: event_attempts_by_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX event_attempts_by_age ON public.event_attempts USING btree (finished_at);

--
-- Name: lead_messages_by_event; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_messages_by_event ON public.lead_messages USING btree (event_id);

--
-- Name: lead_messages_by_ref; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_messages_by_ref ON public.lead_messages USING btree (ref);

--
-- Name: lead_messages_open; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_messages_open ON public.lead_messages USING btree (lead_id) WHERE (status <> 'sent'::text);

--
-- Name: lead_messages_with_body; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_messages_with_body ON public.lead_messages USING btree (created_at) WHERE (body <> ''::text);

--
-- Name: lead_people_by_person; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_people_by_person ON public.lead_people USING btree (cpf);

--
-- Name: leads_by_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX leads_by_age ON public.leads USING btree (last_seen_at);

--
-- Name: operator_actions_by_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX operator_actions_by_age ON public.operator_actions USING btree (at);

--
-- Name: paid_calls_by_day; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX paid_calls_by_day ON public.paid_calls USING brin (day);

--
-- Name: people_by_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX people_by_age ON public.people USING btree (fetched_at);

--
-- Name: person_emails_by_email; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX person_emails_by_email ON public.person_emails USING btree (email);

--
-- Name: person_phones_by_phone; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX person_phones_by_phone ON public.person_phones USING btree (phone);

--
-- Name: rejected_deliveries_by_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX rejected_deliveries_by_age ON public.rejected_deliveries USING btree (received_at);

--
-- Name: rejected_deliveries_once; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX rejected_deliveries_once ON public.rejected_deliveries USING btree (digest, reason) WHERE ((raw <> '\x'::bytea) OR (reason = 'empty_body'::text));

--
-- Name: rejected_deliveries_waiting; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX rejected_deliveries_waiting ON public.rejected_deliveries USING btree (received_at) WHERE ((replayed_at IS NULL) AND (dismissed_at IS NULL));

--
-- Name: rejected_deliveries_with_bytes; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX rejected_deliveries_with_bytes ON public.rejected_deliveries USING btree (received_at) WHERE (raw <> '\x'::bytea);

--
-- Name: webhook_events_by_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX webhook_events_by_age ON public.webhook_events USING btree (received_at);

--
-- Name: webhook_events_by_error; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX webhook_events_by_error ON public.webhook_events USING btree (error_group, received_at) WHERE (error_group IS NOT NULL);

--
-- Name: webhook_events_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX webhook_events_due ON public.webhook_events USING btree (available_at, id) WHERE ((status = 'received'::text) AND (NOT suspect));

--
-- Name: webhook_events_due_alone; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX webhook_events_due_alone ON public.webhook_events USING btree (available_at, id) WHERE ((status = 'received'::text) AND suspect);

--
-- Name: webhook_events_failed; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX webhook_events_failed ON public.webhook_events USING btree (received_at) INCLUDE (id, lead_id, status, outcome, error_kind, error_group) WHERE (status = 'failed'::text);

--
-- Name: webhook_events_one_per_lead; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX webhook_events_one_per_lead ON public.webhook_events USING btree (lead_id) WHERE (status = 'processing'::text);

--
-- Name: webhook_events_settled; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX webhook_events_settled ON public.webhook_events USING btree (processed_at) WHERE (status = ANY (ARRAY['completed'::text, 'failed'::text]));

--
-- Name: webhook_events_waiting; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX webhook_events_waiting ON public.webhook_events USING btree (waiting_for, available_at) WHERE ((status = 'received'::text) AND (waiting_for IS NOT NULL));

--
-- Name: webhook_events_with_error; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX webhook_events_with_error ON public.webhook_events USING btree (received_at, error_kind) INCLUDE (id, lead_id, error_group, processed_at) WHERE (error_kind IS NOT NULL);

--
-- Name: webhook_events_with_payload; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX webhook_events_with_payload ON public.webhook_events USING btree (processed_at) WHERE ((status = ANY (ARRAY['completed'::text, 'failed'::text])) AND (payload_removed_at IS NULL));

--
-- Name: webhook_events changed_by_hand; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER changed_by_hand BEFORE UPDATE OF status ON public.webhook_events FOR EACH ROW WHEN (((new.status <> 'processing'::text) AND ((old.status <> 'processing'::text) OR ((new.claimed_by IS NOT NULL) AND (new.lease_token = old.lease_token))))) EXECUTE FUNCTION public.webhook_events_changed_by_hand();

--
-- Name: lead_messages cleared; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER cleared AFTER UPDATE OF status ON public.lead_messages FOR EACH ROW WHEN (((old.status = 'sending'::text) AND (new.status = 'sent'::text) AND ((new.proof <> 'answer'::text) OR (new.sends > 1)))) EXECUTE FUNCTION public.lead_messages_cleared();

--
-- Name: webhook_events erased_when_received_again; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erased_when_received_again BEFORE UPDATE OF status ON public.webhook_events FOR EACH ROW WHEN (((new.status = 'received'::text) AND (old.status <> 'received'::text))) EXECUTE FUNCTION public.keep_lead_erased();

--
-- Name: rejected_deliveries erased_when_rejected; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erased_when_rejected BEFORE INSERT ON public.rejected_deliveries FOR EACH ROW EXECUTE FUNCTION public.keep_reject_erased();

--
-- Name: webhook_events erased_when_stored; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erased_when_stored BEFORE INSERT ON public.webhook_events FOR EACH ROW EXECUTE FUNCTION public.keep_lead_erased();

--
-- Name: webhook_events inserted; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER inserted AFTER INSERT ON public.webhook_events FOR EACH STATEMENT EXECUTE FUNCTION public.webhook_events_inserted();

--
-- Name: person_addresses person_addresses_cpf_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.person_addresses
    ADD CONSTRAINT person_addresses_cpf_fkey FOREIGN KEY (cpf) REFERENCES public.people(cpf) ON DELETE CASCADE;

--
-- Name: person_companies person_companies_cpf_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.person_companies
    ADD CONSTRAINT person_companies_cpf_fkey FOREIGN KEY (cpf) REFERENCES public.people(cpf) ON DELETE CASCADE;

--
-- Name: person_emails person_emails_cpf_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.person_emails
    ADD CONSTRAINT person_emails_cpf_fkey FOREIGN KEY (cpf) REFERENCES public.people(cpf) ON DELETE CASCADE;

--
-- Name: person_phones person_phones_cpf_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.person_phones
    ADD CONSTRAINT person_phones_cpf_fkey FOREIGN KEY (cpf) REFERENCES public.people(cpf) ON DELETE CASCADE;

--
-- Name: alerts; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.alerts ENABLE ROW LEVEL SECURITY;

--
-- Name: alerts alerts_about_leads; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY alerts_about_leads ON public.alerts USING (((scope <> 'leads'::text) OR has_table_privilege(('public.leads'::regclass)::oid, 'select'::text)));

--
-- Name: SCHEMA public; Type: ACL; Schema: -; Owner: -
--

GRANT USAGE ON SCHEMA public TO c2s_web;
GRANT USAGE ON SCHEMA public TO c2s_poller;
GRANT USAGE ON SCHEMA public TO c2s_ops;
GRANT USAGE ON SCHEMA public TO c2s_reader;

--
-- Name: FUNCTION admit_call(upstream text, slot_wait interval, probe_lease interval, at timestamp with time zone, OUT decision text, OUT wait interval, OUT why text, OUT failed integer, OUT probe timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.admit_call(upstream text, slot_wait interval, probe_lease interval, at timestamp with time zone, OUT decision text, OUT wait interval, OUT why text, OUT failed integer, OUT probe timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.admit_call(upstream text, slot_wait interval, probe_lease interval, at timestamp with time zone, OUT decision text, OUT wait interval, OUT why text, OUT failed integer, OUT probe timestamp with time zone) TO c2s_poller;
GRANT ALL ON FUNCTION public.admit_call(upstream text, slot_wait interval, probe_lease interval, at timestamp with time zone, OUT decision text, OUT wait interval, OUT why text, OUT failed integer, OUT probe timestamp with time zone) TO c2s_ops;

--
-- Name: FUNCTION ask(what text, asker uuid, token bigint, upstream text, kind text, subject text, slot_wait interval, probe_lease interval, at timestamp with time zone, OUT decision text, OUT wait interval, OUT why text, OUT failed integer, OUT probe timestamp with time zone, OUT answer jsonb, OUT answered_at timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.ask(what text, asker uuid, token bigint, upstream text, kind text, subject text, slot_wait interval, probe_lease interval, at timestamp with time zone, OUT decision text, OUT wait interval, OUT why text, OUT failed integer, OUT probe timestamp with time zone, OUT answer jsonb, OUT answered_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ask(what text, asker uuid, token bigint, upstream text, kind text, subject text, slot_wait interval, probe_lease interval, at timestamp with time zone, OUT decision text, OUT wait interval, OUT why text, OUT failed integer, OUT probe timestamp with time zone, OUT answer jsonb, OUT answered_at timestamp with time zone) TO c2s_poller;
GRANT ALL ON FUNCTION public.ask(what text, asker uuid, token bigint, upstream text, kind text, subject text, slot_wait interval, probe_lease interval, at timestamp with time zone, OUT decision text, OUT wait interval, OUT why text, OUT failed integer, OUT probe timestamp with time zone, OUT answer jsonb, OUT answered_at timestamp with time zone) TO c2s_ops;

--
-- Name: FUNCTION count_intake(delivered integer, duplicates integer, refused integer, rejected integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.count_intake(delivered integer, duplicates integer, refused integer, rejected integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.count_intake(delivered integer, duplicates integer, refused integer, rejected integer) TO c2s_web;

--
-- Name: FUNCTION database_state(OUT identity text, OUT log_end bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.database_state(OUT identity text, OUT log_end bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.database_state(OUT identity text, OUT log_end bigint) TO c2s_poller;
GRANT ALL ON FUNCTION public.database_state(OUT identity text, OUT log_end bigint) TO c2s_ops;

--
-- Name: FUNCTION grant_roles(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.grant_roles() FROM PUBLIC;

--
-- Name: FUNCTION keep_lead_erased(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.keep_lead_erased() FROM PUBLIC;

--
-- Name: FUNCTION keep_reject_erased(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.keep_reject_erased() FROM PUBLIC;

--
-- Name: FUNCTION keep_rejected(ids uuid[], raws bytea[], reasons text[], details text[], lead_ids text[], headers jsonb[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.keep_rejected(ids uuid[], raws bytea[], reasons text[], details text[], lead_ids text[], headers jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.keep_rejected(ids uuid[], raws bytea[], reasons text[], details text[], lead_ids text[], headers jsonb[]) TO c2s_web;
GRANT ALL ON FUNCTION public.keep_rejected(ids uuid[], raws bytea[], reasons text[], details text[], lead_ids text[], headers jsonb[]) TO c2s_ops;

--
-- Name: TABLE webhook_events; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_events TO c2s_poller;
GRANT SELECT ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id),INSERT(id) ON TABLE public.webhook_events TO c2s_web;
GRANT SELECT(id),INSERT(id) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.lead_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(lead_id),INSERT(lead_id) ON TABLE public.webhook_events TO c2s_web;
GRANT SELECT(lead_id),INSERT(lead_id) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.updated_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(updated_at),INSERT(updated_at) ON TABLE public.webhook_events TO c2s_web;
GRANT SELECT(updated_at),INSERT(updated_at) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.hook_action; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(hook_action) ON TABLE public.webhook_events TO c2s_web;
GRANT INSERT(hook_action),UPDATE(hook_action) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.payload_raw; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(payload_raw) ON TABLE public.webhook_events TO c2s_web;
GRANT INSERT(payload_raw),UPDATE(payload_raw) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.status; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(status) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.outcome; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(outcome) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.outcome_detail; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(outcome_detail) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.available_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(available_at) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.error_kind; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(error_kind) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.error_message; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(error_message) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.waiting_for; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(waiting_for) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.waiting_reason; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(waiting_reason) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.losses; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(losses) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.reprocess; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(reprocess) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.fingerprint; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(fingerprint) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.payload_removed_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(payload_removed_at) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: COLUMN webhook_events.request_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(request_id) ON TABLE public.webhook_events TO c2s_web;
GRANT INSERT(request_id) ON TABLE public.webhook_events TO c2s_ops;

--
-- Name: TABLE v_events; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_events TO c2s_ops;
GRANT SELECT ON TABLE public.v_events TO c2s_reader;

--
-- Name: TABLE lead_messages; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.lead_messages TO c2s_poller;
GRANT SELECT,DELETE,UPDATE ON TABLE public.lead_messages TO c2s_ops;

--
-- Name: FUNCTION sent_in_order(m public.lead_messages, refs text[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.sent_in_order(m public.lead_messages, refs text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.sent_in_order(m public.lead_messages, refs text[]) TO c2s_poller;
GRANT ALL ON FUNCTION public.sent_in_order(m public.lead_messages, refs text[]) TO c2s_ops;

--
-- Name: FUNCTION stored_deliveries(ids uuid[], lead_ids text[], updated_ats timestamp with time zone[], hook_actions text[], payloads jsonb[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.stored_deliveries(ids uuid[], lead_ids text[], updated_ats timestamp with time zone[], hook_actions text[], payloads jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.stored_deliveries(ids uuid[], lead_ids text[], updated_ats timestamp with time zone[], hook_actions text[], payloads jsonb[]) TO c2s_web;
GRANT ALL ON FUNCTION public.stored_deliveries(ids uuid[], lead_ids text[], updated_ats timestamp with time zone[], hook_actions text[], payloads jsonb[]) TO c2s_ops;

--
-- Name: TABLE alerts; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.alerts TO c2s_web;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.alerts TO c2s_poller;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.alerts TO c2s_ops;

--
-- Name: TABLE answers_under_way; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.answers_under_way TO c2s_poller;
GRANT SELECT,DELETE ON TABLE public.answers_under_way TO c2s_ops;

--
-- Name: TABLE contact_lookups; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.contact_lookups TO c2s_poller;
GRANT SELECT,DELETE ON TABLE public.contact_lookups TO c2s_ops;

--
-- Name: COLUMN contact_lookups.expires_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(expires_at) ON TABLE public.contact_lookups TO c2s_ops;

--
-- Name: TABLE duties; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.duties TO c2s_web;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.duties TO c2s_poller;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.duties TO c2s_ops;

--
-- Name: TABLE erased_leads; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.erased_leads TO c2s_poller;
GRANT SELECT,INSERT ON TABLE public.erased_leads TO c2s_ops;

--
-- Name: TABLE erasures; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.erasures TO c2s_poller;
GRANT SELECT,INSERT ON TABLE public.erasures TO c2s_ops;

--
-- Name: TABLE event_attempts; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.event_attempts TO c2s_poller;
GRANT SELECT,INSERT ON TABLE public.event_attempts TO c2s_ops;

--
-- Name: COLUMN event_attempts.error_message; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(error_message) ON TABLE public.event_attempts TO c2s_ops;

--
-- Name: TABLE hash_key; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.hash_key TO c2s_poller;
GRANT SELECT,INSERT,UPDATE ON TABLE public.hash_key TO c2s_ops;

--
-- Name: TABLE muted_errors; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.muted_errors TO c2s_ops;

--
-- Name: TABLE v_muted; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_muted TO c2s_ops;
GRANT SELECT ON TABLE public.v_muted TO c2s_reader;

--
-- Name: TABLE health_last_hour; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.health_last_hour TO c2s_web;
GRANT SELECT ON TABLE public.health_last_hour TO c2s_poller;
GRANT SELECT ON TABLE public.health_last_hour TO c2s_ops;
GRANT SELECT ON TABLE public.health_last_hour TO c2s_reader;

--
-- Name: TABLE pollers; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.pollers TO c2s_poller;
GRANT SELECT ON TABLE public.pollers TO c2s_ops;

--
-- Name: TABLE read_backs; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.read_backs TO c2s_poller;
GRANT SELECT,INSERT,UPDATE ON TABLE public.read_backs TO c2s_ops;

--
-- Name: TABLE rejected_deliveries; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,DELETE ON TABLE public.rejected_deliveries TO c2s_poller;
GRANT SELECT,DELETE ON TABLE public.rejected_deliveries TO c2s_ops;

--
-- Name: COLUMN rejected_deliveries.raw; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(raw) ON TABLE public.rejected_deliveries TO c2s_poller;

--
-- Name: COLUMN rejected_deliveries.detail; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(detail) ON TABLE public.rejected_deliveries TO c2s_poller;

--
-- Name: COLUMN rejected_deliveries.replayed_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(replayed_at) ON TABLE public.rejected_deliveries TO c2s_ops;

--
-- Name: COLUMN rejected_deliveries.dismissed_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(dismissed_at) ON TABLE public.rejected_deliveries TO c2s_ops;

--
-- Name: TABLE health_queue; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.health_queue TO c2s_web;
GRANT SELECT ON TABLE public.health_queue TO c2s_poller;
GRANT SELECT ON TABLE public.health_queue TO c2s_ops;
GRANT SELECT ON TABLE public.health_queue TO c2s_reader;

--
-- Name: TABLE health_rejects; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.health_rejects TO c2s_web;
GRANT SELECT ON TABLE public.health_rejects TO c2s_poller;
GRANT SELECT ON TABLE public.health_rejects TO c2s_ops;
GRANT SELECT ON TABLE public.health_rejects TO c2s_reader;

--
-- Name: TABLE health_silence; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.health_silence TO c2s_web;
GRANT SELECT ON TABLE public.health_silence TO c2s_poller;
GRANT SELECT ON TABLE public.health_silence TO c2s_ops;
GRANT SELECT ON TABLE public.health_silence TO c2s_reader;

--
-- Name: TABLE upstreams; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.upstreams TO c2s_poller;
GRANT SELECT,UPDATE ON TABLE public.upstreams TO c2s_ops;

--
-- Name: TABLE health_upstreams; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.health_upstreams TO c2s_web;
GRANT SELECT ON TABLE public.health_upstreams TO c2s_poller;
GRANT SELECT ON TABLE public.health_upstreams TO c2s_ops;
GRANT SELECT ON TABLE public.health_upstreams TO c2s_reader;

--
-- Name: TABLE intake_minutes; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.intake_minutes TO c2s_web;
GRANT SELECT ON TABLE public.intake_minutes TO c2s_poller;
GRANT SELECT ON TABLE public.intake_minutes TO c2s_ops;
GRANT SELECT ON TABLE public.intake_minutes TO c2s_reader;

--
-- Name: TABLE lead_people; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.lead_people TO c2s_poller;
GRANT SELECT,DELETE ON TABLE public.lead_people TO c2s_ops;

--
-- Name: TABLE leads; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.leads TO c2s_poller;
GRANT SELECT,DELETE,UPDATE ON TABLE public.leads TO c2s_ops;

--
-- Name: TABLE operator_actions; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,UPDATE ON TABLE public.operator_actions TO c2s_poller;
GRANT SELECT,INSERT,UPDATE ON TABLE public.operator_actions TO c2s_ops;

--
-- Name: TABLE paid_calls; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.paid_calls TO c2s_poller;
GRANT SELECT ON TABLE public.paid_calls TO c2s_ops;

--
-- Name: TABLE people; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.people TO c2s_poller;
GRANT SELECT,DELETE ON TABLE public.people TO c2s_ops;

--
-- Name: COLUMN people.expires_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(expires_at) ON TABLE public.people TO c2s_ops;

--
-- Name: TABLE person_addresses; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.person_addresses TO c2s_poller;
GRANT SELECT,DELETE ON TABLE public.person_addresses TO c2s_ops;

--
-- Name: TABLE person_companies; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.person_companies TO c2s_poller;
GRANT SELECT,DELETE ON TABLE public.person_companies TO c2s_ops;

--
-- Name: TABLE person_emails; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.person_emails TO c2s_poller;
GRANT SELECT,DELETE ON TABLE public.person_emails TO c2s_ops;

--
-- Name: TABLE person_phones; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.person_phones TO c2s_poller;
GRANT SELECT,DELETE ON TABLE public.person_phones TO c2s_ops;

--
-- Name: TABLE restores; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.restores TO c2s_poller;
GRANT SELECT,INSERT,UPDATE ON TABLE public.restores TO c2s_ops;

--
-- Name: TABLE schema_migrations; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.schema_migrations TO c2s_web;
GRANT SELECT ON TABLE public.schema_migrations TO c2s_poller;
GRANT SELECT ON TABLE public.schema_migrations TO c2s_ops;
GRANT SELECT ON TABLE public.schema_migrations TO c2s_reader;

--
-- Name: TABLE subscriptions; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.subscriptions TO c2s_ops;

--
-- Name: TABLE suppressions; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.suppressions TO c2s_poller;
GRANT SELECT,INSERT,DELETE ON TABLE public.suppressions TO c2s_ops;

--
-- Name: TABLE v_explain; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_explain TO c2s_ops;
GRANT SELECT ON TABLE public.v_explain TO c2s_reader;

--
-- Name: TABLE v_failures; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_failures TO c2s_ops;
GRANT SELECT ON TABLE public.v_failures TO c2s_reader;

--
-- Name: TABLE v_found_share; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_found_share TO c2s_ops;
GRANT SELECT ON TABLE public.v_found_share TO c2s_reader;

--
-- Name: TABLE v_hit_rate; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_hit_rate TO c2s_web;
GRANT SELECT ON TABLE public.v_hit_rate TO c2s_poller;
GRANT SELECT ON TABLE public.v_hit_rate TO c2s_ops;
GRANT SELECT ON TABLE public.v_hit_rate TO c2s_reader;

--
-- Name: TABLE v_in_flight; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_in_flight TO c2s_ops;
GRANT SELECT ON TABLE public.v_in_flight TO c2s_reader;

--
-- Name: TABLE v_invalid_phones; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_invalid_phones TO c2s_ops;
GRANT SELECT ON TABLE public.v_invalid_phones TO c2s_reader;

--
-- Name: TABLE v_lead_history; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_lead_history TO c2s_ops;
GRANT SELECT ON TABLE public.v_lead_history TO c2s_reader;

--
-- Name: TABLE v_leads; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_leads TO c2s_ops;

--
-- Name: TABLE v_leads_by_seller; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_leads_by_seller TO c2s_ops;
GRANT SELECT ON TABLE public.v_leads_by_seller TO c2s_reader;

--
-- Name: TABLE v_messages_open; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_messages_open TO c2s_ops;
GRANT SELECT ON TABLE public.v_messages_open TO c2s_reader;

--
-- Name: TABLE v_messages_sent; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_messages_sent TO c2s_ops;
GRANT SELECT ON TABLE public.v_messages_sent TO c2s_reader;

--
-- Name: TABLE v_people; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_people TO c2s_ops;

--
-- Name: TABLE v_pollers; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_pollers TO c2s_ops;
GRANT SELECT ON TABLE public.v_pollers TO c2s_reader;

--
-- Name: TABLE v_queue; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_queue TO c2s_ops;
GRANT SELECT ON TABLE public.v_queue TO c2s_reader;

--
-- Name: TABLE v_spend; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_spend TO c2s_ops;
GRANT SELECT ON TABLE public.v_spend TO c2s_reader;

--
-- Name: TABLE v_throughput; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.v_throughput TO c2s_ops;
GRANT SELECT ON TABLE public.v_throughput TO c2s_reader;
