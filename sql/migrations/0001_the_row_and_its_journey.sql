-- The event's row is queue entry and history at once, the message's row is the outbox.
--
-- `set search_path from current` gives each function the path that `c2s-enrich migrate` sets: our schema,
-- pg_temp last. Without it a caller's own path decides into which tables a trigger writes, and a caller's
-- temporary table could stand in for ours while a function runs with its owner's rights.

-- One fingerprint for errors that differ in ids and numbers only. The status of an HTTP answer is kept.
create function error_group(kind text, step text, message text) returns text
language sql immutable parallel safe as $$
  select case when kind is not null then left(md5(
    kind || coalesce(' ' || step, '') || coalesce(' ' || regexp_replace(message,
    '[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}|(?<=ref )[A-Z0-9]{6,}|(?<=poller )\S+|(?<!HTTP )\m\d[\d.,:]*',
    '#', 'g'), '')), 8) end
$$;
comment on function error_group is 'The group of an error: kind, step and text without its ids and numbers.';

create table webhook_events (
  id                 uuid        primary key default gen_random_uuid(),
  lead_id            text        not null check (lead_id <> ''),
  -- A time that every reader can hold. Python's datetime knows neither infinity nor the year 10000.
  updated_at         timestamptz not null check (updated_at >= '0001-01-02Z' and updated_at < '9999-12-31Z'),
  hook_action        text,
  payload_raw        jsonb       not null,
  status             text        not null default 'received'
    check (status in ('received', 'processing', 'completed', 'failed')),
  outcome            text
    check (outcome in ('enriched', 'partial', 'not_found', 'unchanged', 'superseded', 'ignored', 'shadow',
                       'erased')),
  outcome_detail     jsonb,
  attempts           integer     not null default 0 check (attempts >= 0),
  max_attempts       integer     not null default 8 check (max_attempts between 1 and 32000),
  available_at       timestamptz not null default now() check (isfinite(available_at)),
  claimed_by         text,
  claimed_at         timestamptz,
  lease_token        bigint      not null default 0,
  lease_expires_at   timestamptz,
  deadline_at        timestamptz,
  error_kind         text
    check (error_kind in ('missing_customer', 'lead_not_found', 'upstream_unavailable', 'upstream_refused',
                          'upstream_unreadable', 'delivery_unclear', 'worker_lost', 'bug', 'given_up')),
  error_message      text        check (length(error_message) <= 1000),
  -- Stored: computing it costs more than reading the row, and thousands are grouped at once.
  error_group        text        generated always as (
    error_group(error_kind, outcome_detail ->> 'step', error_message)) stored,
  waiting_for        text,
  waiting_reason     text
    check (waiting_reason in ('paused', 'credential', 'budget', 'slot', 'throttled', 'backoff', 'read_back',
                              'database')),
  losses             integer     not null default 0 check (losses >= 0),
  suspect            boolean     not null generated always as (losses > 1) stored,
  reprocess          boolean     not null default false,
  fingerprint        text,
  received_at        timestamptz not null default now(),
  processed_at       timestamptz,
  payload_removed_at timestamptz,
  request_id         text,
  ordered_at         timestamptz not null generated always as (least(updated_at, received_at)) stored,
  unique (lead_id, updated_at),
  constraint leased_if_and_only_if_processing check (
    (status = 'processing') = (lease_expires_at is not null)
    and (status = 'processing') = (claimed_by is not null)
    and (status = 'processing') = (claimed_at is not null)
    and (status = 'processing') = (deadline_at is not null)),
  constraint outcome_only_when_completed check (outcome is null or status = 'completed'),
  constraint processed_at_only_when_settled check (processed_at is null or status in ('completed', 'failed'))
) with (
  -- Room for HOT updates: a heartbeat changes no indexed column. Vacuum by count, at once, and without the
  -- truncation at its end, whose exclusive lock stalls claims.
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
  autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = off
);
comment on table webhook_events is
  'One accepted webhook: received → processing → completed | failed. Set status to received to reprocess.';
comment on column webhook_events.available_at is
  'When a received event is due; in the future while it waits for a retry or an upstream.';
comment on column webhook_events.lease_token is
  'Fencing token: raised by every claim, settlement and change by hand; a poller must present it.';
comment on column webhook_events.deadline_at is
  'End of this attempt, never renewed: frees an event whose task hangs while its process beats.';
comment on column webhook_events.waiting_for is
  'The upstream whose pause or rate limit this event waits for; its recovery makes the event due at once.';
comment on column webhook_events.waiting_reason is
  'Why a received event waits, as a code; null when it is next in line.';
comment on column webhook_events.outcome_detail is
  'What the outcome or the error rests on: step, echo (ref), ddd, skipped (contacts), answers [{source, '
  'kind, found, remembered, at}], unasked (contacts), unproven [sources], unreadable {source, rows}.';
comment on column webhook_events.losses is
  'How often in a row a process died, or hung, while this event was in flight.';
comment on column webhook_events.suspect is
  'Lost twice in a row or more: it runs alone, in a process of its own, next time.';
comment on column webhook_events.reprocess is
  'A person asked for it again: it is worked on even if nothing is new, unless a newer event waits.';
comment on column webhook_events.request_id is
  'The X-Request-Id of the delivery that brought it: finds its line in the log of web.';
comment on column webhook_events.ordered_at is
  'When it happened, by a clock that we trust: updated_at, but never later than its arrival. Decides what is '
  'newer; updated_at is the key.';
comment on column webhook_events.payload_removed_at is
  'The payload was removed, by age or by an erasure. The row stays: its key still recognises the same '
  'delivery.';

-- The columns are the ORDER BY of the claim. No index holds the lease: each heartbeat would become a cold
-- update.
create index webhook_events_due on webhook_events (available_at, id)
 where status = 'received' and not suspect;
create index webhook_events_due_alone on webhook_events (available_at, id)
 where status = 'received' and suspect;
-- One event per lead in flight. This index decides; the claim's NOT EXISTS is only a filter and lets races
-- through.
create unique index webhook_events_one_per_lead on webhook_events (lead_id) where status = 'processing';
create index webhook_events_settled on webhook_events (processed_at) where status in ('completed', 'failed');
create index webhook_events_by_age on webhook_events (received_at);
-- What operators look for among a million completed events: failures and what waits for an upstream.
-- With what groups and plans count, so that thousands of them are read without the table.
create index webhook_events_failed on webhook_events (received_at)
  include (id, lead_id, status, outcome, error_kind, error_group) where status = 'failed';
create index webhook_events_waiting on webhook_events (waiting_for, available_at)
 where status = 'received' and waiting_for is not null;
create index webhook_events_with_error on webhook_events (received_at, error_kind)
  include (id, lead_id, error_group, processed_at) where error_kind is not null;
create index webhook_events_by_error on webhook_events (error_group, received_at)
 where error_group is not null;
-- What retention still has to look at. Without it each pass would walk over two years of events that it has
-- emptied.
create index webhook_events_with_payload on webhook_events (processed_at)
 where status in ('completed', 'failed') and payload_removed_at is null;

-- Append-only, one row for each ended claim. No foreign key: the check would lock rows that the claim wants.
create table event_attempts (
  event_id      uuid        not null,
  lease_token   bigint      not null,
  attempt       integer     not null,
  worker        text        not null,
  started_at    timestamptz not null,
  finished_at   timestamptz not null default clock_timestamp(),
  result        text        not null
    check (result in ('completed', 'retried', 'postponed', 'failed', 'released', 'worker_lost',
                      'taken_away')),
  outcome       text,
  error_kind    text,
  error_message text        check (length(error_message) <= 1000),
  steps         jsonb       not null default '[]',
  calls         jsonb       not null default '[]',
  primary key (event_id, lease_token)
);
comment on table event_attempts is
  'History of claims: who worked on an event, how it ended, its steps and its calls.';
comment on column event_attempts.steps is
  '[{step, at_ms, ms}] in the order in which they began; ms is null where the step did not end.';
comment on column event_attempts.calls is
  '[{upstream, kind, result, paid, at_ms, ms}] in the order in which they ended.';
create index event_attempts_by_age on event_attempts (finished_at);

create table muted_errors (
  error_group text        primary key,
  muted_at    timestamptz not null default now()
);
comment on table muted_errors is
  'Errors whose failures no alert counts, until they are fixed; v_muted has those that are still muted.';

create view v_muted as
select m.error_group, m.muted_at as muted_since
  from muted_errors m
 where m.muted_at > now() - interval '7 days'
   and exists (select from webhook_events e
                where e.error_group = m.error_group and e.received_at <= m.muted_at);
comment on view v_muted is
  'Errors that no alert counts: for at most a week, until no event from before has the error any more, or '
  'until somebody reprocesses one of its events.';

-- A change of status by hand. Our own statements clear the claim and raise the token themselves, so WHEN lets
-- them pass at the price of one comparison. NOTIFY folds duplicates within a transaction: thousands of rows
-- still send one.
create function webhook_events_changed_by_hand() returns trigger
language plpgsql set search_path from current as $$
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
create trigger changed_by_hand before update of status on webhook_events for each row
  when (new.status <> 'processing'
        and (old.status <> 'processing'
             or (new.claimed_by is not null and new.lease_token = old.lease_token)))
  execute function webhook_events_changed_by_hand();

-- One hint a statement, whoever inserts: intake's batch or a plain INSERT in psql.
create function webhook_events_inserted() returns trigger
language plpgsql set search_path from current as $$
begin
  perform pg_notify('webhook_events', '');
  return null;
end $$;
create trigger inserted after insert on webhook_events
  for each statement execute function webhook_events_inserted();

-- What we use of a payload, as texts: contact, name, and that the lead was closed. It looks wherever the
-- reader of C2S's envelope may look, so it may find more than the reader takes and never less.
create function used_of(payload jsonb, hook_action text) returns text[]
language sql immutable parallel safe set search_path from current as $$
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
comment on function used_of is
  'What the service uses of a payload; two bodies that agree in it are one event.';

-- How events relate to the stored ones of their key. C2S's times have whole seconds, so two changes can share
-- one: the second body becomes an event of its own, a microsecond later (next_at), unless it brings nothing
-- new that we use. At most 50 bodies share a key. It tells of a payload only whether the caller has it
-- already. A key whose payload is gone has nothing to compare with: the same key is the same delivery then.
create function stored_deliveries(ids uuid[], lead_ids text[], updated_ats timestamptz[],
                                  hook_actions text[], payloads jsonb[])
returns table (id uuid, verdict text, next_at timestamptz)
language sql volatile security definer set search_path from current as $$
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
comment on function stored_deliveries is
  'How each given event relates to the stored ones of the same key: it is one of them, brings nothing new, '
  'or is a new body, to be stored at next_at.';

create table rejected_deliveries (
  id               uuid        primary key default gen_random_uuid(),
  raw              bytea       not null,
  reason           text        not null,
  detail           text,
  lead_id          text,
  headers          jsonb       not null default '{}',
  received_at      timestamptz not null default now(),
  replayed_at      timestamptz,
  times            integer     not null default 1,
  last_received_at timestamptz not null default now(),
  dismissed_at     timestamptz,
  digest           bytea       not null generated always as (sha256(raw)) stored
);
comment on table rejected_deliveries is
  'Authentic deliveries that are not readable events, whole, for a person to look at or to replay.';
comment on column rejected_deliveries.times is
  'How often the same bytes came; received_at is the first time.';
comment on column rejected_deliveries.dismissed_at is
  'When a person decided that nothing is to be done about it.';
create index rejected_deliveries_by_age on rejected_deliveries (received_at);
create index rejected_deliveries_waiting on rejected_deliveries (received_at)
  where replayed_at is null and dismissed_at is null;
create index rejected_deliveries_with_bytes on rejected_deliveries (received_at) where raw <> ''::bytea;
-- The same bytes are kept once. What was emptied by age or by an erasure is all alike and stays apart.
create unique index rejected_deliveries_once on rejected_deliveries (digest, reason)
  where raw <> ''::bytea or reason = 'empty_body';

create function rejected_room() returns bigint language sql immutable parallel safe
  as 'select 268435456::bigint';
comment on function rejected_room is 'Bytes that rejected deliveries may hold.';

create view health_rejects as
select coalesce(sum(octet_length(raw) + 4000), 0)::bigint as bytes, rejected_room() as room
  from rejected_deliveries;
comment on view health_rejects is
  'The bytes that rejected deliveries hold, each with 4,000 for its row, and those that they may hold.';

-- Keeps rejected deliveries for web, which may not read them. False: there is no room, nothing was kept.
create function keep_rejected(ids uuid[], raws bytea[], reasons text[], details text[], lead_ids text[],
                              headers jsonb[])
returns boolean language plpgsql security definer set search_path from current as $$
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
comment on function keep_rejected is 'Keeps rejected deliveries, the same bytes once; false: no room.';

create table intake_minutes (
  minute     timestamptz primary key,
  delivered  integer     not null default 0,
  duplicates integer     not null default 0,
  refused    integer     not null default 0,
  rejected   integer     not null default 0
);
comment on table intake_minutes is
  'What all web processes took in, by the minute: new events, duplicates, refused deliveries (401), rejected '
  'elements. A minute without any has no row. Kept for ten weeks.';

create function count_intake(delivered integer, duplicates integer, refused integer, rejected integer)
returns void language sql security definer set search_path from current as $$
  delete from intake_minutes where minute < now() - interval '70 days';
  insert into intake_minutes as known (minute, delivered, duplicates, refused, rejected)
  values (date_trunc('minute', now()), delivered, duplicates, refused, rejected)
  on conflict (minute) do update
     set delivered = known.delivered + excluded.delivered,
         duplicates = known.duplicates + excluded.duplicates,
         refused = known.refused + excluded.refused, rejected = known.rejected + excluded.rejected;
$$;
comment on function count_intake is 'Adds to the current minute of intake_minutes.';

create table leads (
  lead_id          text        primary key,
  name             text,
  phone            text,
  email            text,
  closed           boolean     not null default false,
  seller_id        text,
  seller_name      text,
  facts_updated_at timestamptz not null,
  first_seen_at    timestamptz not null default now(),
  last_seen_at     timestamptz not null default now()
);
comment on table leads is 'What we last knew of a lead. A partial payload changes only what it names.';
comment on column leads.seller_id is 'The seller to whom C2S gave the lead, as the last payload said.';
comment on column leads.last_seen_at is 'When an event last told of this lead; retention counts from here.';
create index leads_by_age on leads (last_seen_at);

create table lead_messages (
  id             uuid        primary key default gen_random_uuid(),
  event_id       uuid        not null,
  lead_id        text        not null,
  content_key    text        not null,
  body           text        not null,
  ref            text        not null,
  status         text        not null default 'pending' check (status in ('pending', 'sending', 'sent')),
  sends          integer     not null default 0,
  looks          integer     not null default 0,
  sending_at     timestamptz,
  sender         text,
  sent_at        timestamptz,
  proof          text        check (proof in ('answer', 'read_back', 'webhook', 'person')),
  c2s_message_id text,
  contacts       text[]      not null default '{}',
  created_at     timestamptz not null default now(),
  unique (lead_id, content_key),
  constraint sending_at_from_the_first_send check (status = 'pending' or sending_at is not null),
  constraint sent_is_dated check ((status = 'sent') = (sent_at is not null))
) with (fillfactor = 80);
comment on table lead_messages is
  'The outbox: pending → sending → sent. A row in sending is read back from C2S before anything is sent '
  'again.';
comment on column lead_messages.ref is
  'Last line of the message and its external_id: how it is recognised when read back.';
comment on column lead_messages.contacts is
  'The phones and e-mails it is about: a later message says what is new.';
comment on column lead_messages.sends is 'How often it was given to the network.';
comment on column lead_messages.sender is
  'The poller that sent it last: before another may send it again, its pulse is ended.';
comment on column lead_messages.looks is
  'Looks after the settle time that did not find it, since the last send.';
create index lead_messages_open on lead_messages (lead_id) where status <> 'sent';
create index lead_messages_by_event on lead_messages (event_id);
create index lead_messages_by_ref on lead_messages (ref);
create index lead_messages_with_body on lead_messages (created_at) where body <> '';

-- When a message was sent that was found on its lead, seen from the others there (`refs`, oldest first):
-- behind the one before it, in front of the one after it. After a restore its own time is the restore's.
-- Those that are found together keep their order: each is a microsecond further for its place.
create function sent_in_order(m lead_messages, refs text[]) returns timestamptz
language sql stable set search_path from current as $$
  select least(greatest(m.sending_at,
                        max(o.sending_at + mine * interval '1 us') filter (where place < mine)),
               min(o.sending_at - (cardinality(refs) - mine) * interval '1 us')
                 filter (where place > mine))
    from lead_messages o, array_position(refs, o.ref) as place, array_position(refs, m.ref) as mine
   where o.lead_id = m.lead_id and o.id <> m.id and o.status <> 'pending' and o.ref = any(refs)
$$;

-- A message that becomes clear by itself ends what failed because it was not. A first answer never does: it
-- is left out, so that an ordinary send costs nothing.
create function lead_messages_cleared() returns trigger
language plpgsql set search_path from current as $$
begin
  update webhook_events set status = 'received'
   where lead_id = new.lead_id and status = 'failed' and error_kind = 'delivery_unclear';
  return null;
end $$;
create trigger cleared after update of status on lead_messages for each row
  when (old.status = 'sending' and new.status = 'sent' and (new.proof <> 'answer' or new.sends > 1))
  execute function lead_messages_cleared();

create table upstreams (
  name          text        primary key,
  paused_until  timestamptz check (isfinite(paused_until)),
  paused_since  timestamptz,
  reason        text,
  probing_until timestamptz,
  failures      integer     not null default 0,
  pauses        integer     not null default 0,
  next_slot_at  timestamptz not null default now(),
  min_interval  interval    not null default '0',
  daily_budget  integer     not null default 0,
  -- What the settings say. An operator may give today another budget; the first call of a new day ends that.
  usual_budget  integer     not null default 0,
  budget_day    date        not null default current_date,
  calls_today   integer     not null default 0,
  changed_at    timestamptz not null default now()
) with (fillfactor = 50);
comment on table upstreams is
  'Shared by all pollers: pauses, the rate limit''s next free slot, the day''s paid calls.';
comment on column upstreams.paused_since is
  'When the present pause began; a longer pause does not move it.';
comment on column upstreams.reason is 'Why it is paused, in one sentence; null when it is not.';
insert into upstreams (name) values ('c2s'), ('diretrix'), ('work_api');

-- One row: what tells a process with the wrong key that it has it. No key can be guessed from it.
create table hash_key (
  only_row    boolean     primary key default true check (only_row),
  check_value text        not null,
  since       timestamptz not null default clock_timestamp()
);
comment on table hash_key is
  'A hash of a fixed text under HASH_KEY, with the key''s id before the colon: a process with another key '
  'does not start.';

create table restores (
  id         bigint      generated always as identity primary key,
  noticed_at timestamptz not null default clock_timestamp(),
  why        text        not null check (why in ('first_start', 'identity', 'counter', 'person')),
  identity   text        not null,
  since      timestamptz
);
comment on table restores is
  'When the database was found to have gone back in time, and by what. The newest identity is the one we '
  'know.';
comment on column restores.since is 'What happened after this may be missing, where a person said so.';

create table read_backs (
  account   text        primary key,
  tried_at  timestamptz not null default clock_timestamp(),
  proven_at timestamptz
);
comment on table read_backs is
  'For each C2S account (a keyed hash of address and token): was a message of ours found on its lead? Until '
  'then an unclear delivery is left to a person.';

-- identity: server, timeline, Neon's timeline, and the tables themselves, which a dump creates again.
-- log_end: how far the log goes; on one timeline it only grows.
create function database_state(out identity text, out log_end bigint)
language plpgsql set search_path from current as $$
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

-- Decides whether one call may go out now, and reserves what it needs: the probe, a slot, a paid call. An
-- upstream without pause, limit and budget costs one read: nothing is locked or written. A function, because
-- what follows the lock must see what was committed before it.
create function admit_call(
  upstream text, slot_wait interval, probe_lease interval, at timestamptz,
  out decision text, out wait interval, out why text, out failed integer, out probe timestamptz
) language plpgsql set search_path from current as $$
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
comment on function admit_call is
  'May one call go out? decision: go, probe, or why not (paused, spent, no_slot); wait: until the slot, or '
  'how long to stay away; probe: the mark of the call that tests whether a pause is over.';

-- Numbers and ids, never a contact. `filter` and `planned` are the plan, `done` is what came of it.
create table operator_actions (
  id         uuid        primary key default gen_random_uuid(),
  at         timestamptz not null default now(),
  actor      text        not null,
  via        text        not null check (via in ('cli', 'api', 'console')),
  verb       text        not null,
  filter     jsonb       not null default '{}',
  reason     text,
  state      text        not null default 'planned'
    check (state in ('planned', 'running', 'done', 'stopped')),
  planned    integer     not null default 0,
  done       integer     not null default 0,
  skipped    integer     not null default 0,
  ended_at   timestamptz
);
comment on table operator_actions is 'What people did: who, from where, to which events, planned and done.';
create index operator_actions_by_age on operator_actions (at);

create table pollers (
  name        text        primary key,
  started_at  timestamptz not null default now(),
  beat_at     timestamptz not null default now(),
  in_flight   integer     not null default 0,
  concurrency integer     not null,
  pulse       boolean     not null default false,
  version     text,
  metrics     text
) with (fillfactor = 50);
comment on table pollers is
  'Heartbeats, for people and for /health.';
comment on column pollers.pulse is
  'It holds a direct connection, ''c2s-enrich pulse NAME'' in pg_stat_activity: when that ends its events '
  'are given back at once. Without one their leases decide.';

create table duties (
  name     text        primary key,
  began_at timestamptz not null
);
comment on table duties is
  'When a duty that one poller does for all was last begun. Who moves the time on has the turn.';

create table subscriptions (
  action   text        primary key,
  address  text        not null,
  asked_at timestamptz not null default now()
);
comment on table subscriptions is
  'What C2S was last asked to deliver, and where; C2S cannot be asked. The token in the address is masked.';

create table alerts (
  key          text        primary key,
  scope        text        not null,
  text         text        not null,
  since        timestamptz not null default now(),
  told_at      timestamptz,
  recovered_at timestamptz
);
comment on table alerts is
  'What ALERT_WEBHOOK_URL is told of: a row for each problem from its beginning until its end is told.';

-- ---- views for /health ------------------------------------------------------------------------------------

create view health_queue as
select
  -- Two look-ups, one for each of the claim's indexes; a plain min() over both would read every waiting row.
  extract(epoch from now() - least(
    (select available_at from webhook_events
      where status = 'received' and not suspect and available_at <= now()
      order by available_at limit 1),
    (select available_at from webhook_events
      where status = 'received' and suspect and available_at <= now()
      order by available_at limit 1)
  ))::double precision as oldest_due_seconds,
  -- Counts end at a bound: nobody reads on to learn whether it is 10,000 or a million.
  -- Each of the claim's indexes by itself: for both at once the table would be read whole.
  (select least(count(*), 10000)::integer
     from ((select from webhook_events where status = 'received' and not suspect limit 10000) union all
           (select from webhook_events where status = 'received' and suspect limit 10000)) w) as waiting,
  (select count(*)::integer from webhook_events where status = 'processing') as in_flight,
  (select count(*)::integer from webhook_events
    where status = 'processing' and lease_expires_at < now() - interval '1 minute') as leases_over,
  (select count(*)::integer from pollers where beat_at > now() - interval '1 minute') as pollers_beating,
  (select count(*)::integer from pollers where beat_at <= now() - interval '1 minute') as pollers_silent,
  (select count(*)::integer from lead_messages where status = 'pending') as messages_pending,
  (select count(*)::integer from lead_messages where status = 'sending') as messages_sending,
  (select count(*)::integer from lead_messages
    where status = 'sending' and sends > 0 and sending_at < now() - interval '10 minutes')
    as messages_unclear,
  (select count(*)::integer from lead_messages where status = 'sending' and sends = 0)
    as messages_to_look_up,
  coalesce((select proven_at is null from read_backs order by tried_at desc limit 1), false)
    as read_back_unproven,
  (select count(*)::integer
     from (select from rejected_deliveries where replayed_at is null and dismissed_at is null limit 10000) r)
    as rejects_waiting,
  current_setting('transaction_read_only') = 'on' as read_only,
  -- Our triggers that were switched off, and the keys that every promise rests on: missing or not valid.
  (select coalesce(string_agg(guard, ', ' order by guard), '')
     from (select tgname::text as guard from pg_trigger
            where tgrelid in ('webhook_events'::regclass, 'lead_messages'::regclass,
                              'rejected_deliveries'::regclass)
              and not tgisinternal and tgenabled not in ('O', 'A')
           union all
           select key
             from unnest(array['webhook_events_lead_id_updated_at_key', 'webhook_events_one_per_lead',
                               'lead_messages_lead_id_content_key_key']) as key
            where not exists (select from pg_index i join pg_class c on c.oid = i.indexrelid
                               where i.indrelid in ('webhook_events'::regclass, 'lead_messages'::regclass)
                                 and c.relname = key and i.indisvalid)) g) as guards_off;
comment on view health_queue is
  'What /health says about the queue: numbers only, no lead and no person. Seconds; null where nothing is '
  'due. waiting and rejects_waiting end at 10,000. guards_off names triggers and keys, empty when all stand.';

create view health_upstreams as
select name,
       greatest(extract(epoch from paused_until - now()), 0)::double precision as paused_seconds,
       case when paused_until > now() then reason end as reason,
       case when budget_day = (now() at time zone 'America/Sao_Paulo')::date then calls_today else 0 end
         as calls_today,
       daily_budget,
       (select count(*)::integer
          from (select from webhook_events where status = 'received' and waiting_for = name limit 10000) w)
         as waiting,
       -- A pause that was ended by SQL, or a clock that was wrong, leaves events behind that nobody wakes.
       (select count(*)::integer
          from (select from webhook_events
                 where status = 'received' and waiting_for = name
                   and available_at > greatest(paused_until, now()) + interval '1 hour'
                   and not (daily_budget > 0 and calls_today >= daily_budget)
                 limit 1000) w) as put_off
  from upstreams;
comment on view health_upstreams is
  'What /health says about each upstream. Seconds still paused; null where it never was. A budget of 0 is '
  'none. waiting ends at 10,000. put_off: those that are due over an hour after the pause; ends at 1,000.';

create view health_last_hour as
select ended.events as ended, ended.failed, ended.kinds as failed_kinds, ended.muted,
       lost.claims as claims_lost, unproven.sources as unproven
  from (select coalesce(sum(of_kind.events), 0)::integer as events,
               coalesce(sum(of_kind.failed), 0)::integer as failed,
               coalesce(sum(of_kind.muted), 0)::integer as muted,
               string_agg(of_kind.failed || ' ' || of_kind.error_kind, ', ' order by of_kind.failed desc)
                 filter (where of_kind.failed > 0) as kinds
          from (select error_kind, count(*) as events,
                       count(*) filter (where status = 'failed' and muted_since is null) as failed,
                       count(*) filter (where status = 'failed' and muted_since is not null) as muted
                  from (select status, error_kind, error_group from webhook_events
                         where status in ('completed', 'failed')
                           and processed_at > now() - interval '1 hour'
                         order by processed_at desc limit 10000) newest
                  left join v_muted using (error_group)
                 group by error_kind) of_kind) ended,
       (select count(*)::integer as claims
          from (select result from event_attempts
                 where finished_at > now() - interval '1 hour'
                 order by finished_at desc limit 10000) newest
         where result = 'worker_lost') lost,
       (select string_agg(of_source.events || ' ' || of_source.source, ', '
                          order by of_source.source) as sources
          from (select source, count(*) as events
                  from (select outcome_detail from webhook_events
                         where status in ('completed', 'failed')
                           and processed_at > now() - interval '1 hour'
                         order by processed_at desc limit 10000) newest
                 cross join lateral jsonb_array_elements_text(newest.outcome_detail -> 'unproven') source
                 group by source) of_source) unproven;
comment on view health_last_hour is
  'The newest 10,000 events that ended within an hour, the failed ones by kind, those with a muted error '
  'apart, claims whose poller was lost, and the sources that answered with a web page where they say "not '
  'found".';

-- Whether webhooks have stopped: nothing for longer than the same hours of earlier weeks explain. Echoes of
-- our own messages and what reconcile fetched prove nothing, so they are left out on both sides.
create view health_silence as
with arrived as not materialized (
  select received_at from webhook_events
   where hook_action is distinct from 'reconcile' and outcome_detail ->> 'echo' is null
), last as (
  select received_at as at from arrived order by received_at desc limit 1
), weeks as (
  select (select count(*) from (select from arrived
                                 where received_at > last.at - w.ago and received_at <= now() - w.ago
                                 limit 1000) a) as came
    from last
   cross join (select n * interval '7 days' as ago from generate_series(1, 4) n) w
   where (select min(received_at) from webhook_events) <= last.at - w.ago
)
select extract(epoch from now() - last.at)::double precision as silent_seconds,
       (select count(*)::integer from weeks) as weeks,
       (select avg(came)::double precision from weeks) as usual,
       (select count(*) / 4.0 from generate_series(greatest(last.at, now() - interval '7 days'), now(),
                                                   interval '15 minutes') quarter
         where extract(isodow from quarter at time zone 'America/Sao_Paulo') <= 6
           and extract(hour from quarter at time zone 'America/Sao_Paulo') between 9 and 18
       )::double precision as business_hours
  from last;
comment on view health_silence is
  'Since the last webhook: seconds, the business hours among them, and how many webhooks the same hours of '
  'up to four earlier weeks brought on average. No row where none has ever come.';
