-- The first shape: the event's row is queue entry and history at once, the message's row is the outbox.

create table webhook_events (
  id               uuid        primary key default gen_random_uuid(),
  lead_id          text        not null check (lead_id <> ''),
  updated_at       timestamptz not null,
  hook_action      text,
  payload_raw      jsonb       not null,
  status           text        not null default 'received' check (status in ('received', 'processing', 'completed', 'failed')),
  outcome          text        check (outcome in ('enriched', 'partial', 'not_found', 'unchanged', 'superseded', 'ignored')),
  attempts         integer     not null default 0 check (attempts >= 0),
  max_attempts     integer     not null default 8 check (max_attempts > 0),
  available_at     timestamptz not null default now(),
  claimed_by       text,
  claimed_at       timestamptz,
  lease_token      bigint      not null default 0,
  lease_expires_at timestamptz,
  deadline_at      timestamptz,
  error_kind       text        check (error_kind in ('missing_customer', 'lead_not_found', 'upstream_unavailable', 'upstream_refused',
                                                     'upstream_unreadable', 'delivery_unclear', 'worker_lost', 'bug')),
  error_message    text,
  waiting_for      text,
  suspect          boolean     not null default false,
  reprocess        boolean     not null default false,
  fingerprint      text,
  received_at      timestamptz not null default now(),
  processed_at     timestamptz,
  unique (lead_id, updated_at),
  constraint leased_if_and_only_if_processing check (
    (status = 'processing') = (lease_expires_at is not null)
    and (status = 'processing') = (claimed_by is not null)
    and (status = 'processing') = (claimed_at is not null)
    and (status = 'processing') = (deadline_at is not null)),
  constraint outcome_only_when_completed check (outcome is null or status = 'completed'),
  constraint processed_at_only_when_settled check (processed_at is null or status in ('completed', 'failed'))
) with (
  -- Room for HOT updates: a heartbeat changes no indexed column. Vacuum by count, at once, and without the truncation
  -- at its end, whose exclusive lock stalls claims.
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
  autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = off
);

comment on table webhook_events is 'One accepted webhook: received → processing → completed | failed. Set status to received to reprocess.';
comment on column webhook_events.available_at is 'When a received event is due; in the future while it waits for a retry or an upstream.';
comment on column webhook_events.lease_token is 'Fencing token: raised by every claim, settlement and change by hand; a poller must present it.';
comment on column webhook_events.deadline_at is 'End of this attempt, never renewed: frees an event whose task hangs while its process beats.';
comment on column webhook_events.waiting_for is 'The upstream whose pause or rate limit this event waits for; its recovery makes it due at once.';
comment on column webhook_events.suspect is 'A process died while this event was in flight: it runs alone next time.';
comment on column webhook_events.reprocess is 'A person asked for it again: none of the work is skipped.';

-- The columns are the ORDER BY of the claim. Nothing else: an index on the lease would make each heartbeat a cold update.
create index webhook_events_due on webhook_events (available_at, id) where status = 'received' and not suspect;
create index webhook_events_due_alone on webhook_events (available_at, id) where status = 'received' and suspect;
-- One event per lead in flight. This index is the judge; the claim's NOT EXISTS is only a filter and lets races through.
create unique index webhook_events_one_per_lead on webhook_events (lead_id) where status = 'processing';
create index webhook_events_settled on webhook_events (processed_at) where status in ('completed', 'failed');
create index webhook_events_by_age on webhook_events (received_at);

-- Append-only, one row for each ended claim. No foreign key: the check would lock rows that the claim wants.
create table event_attempts (
  event_id      uuid        not null,
  lease_token   bigint      not null,
  attempt       integer     not null,
  worker        text        not null,
  started_at    timestamptz not null,
  finished_at   timestamptz not null default clock_timestamp(),
  result        text        not null check (result in ('completed', 'retried', 'postponed', 'failed', 'released', 'worker_lost', 'taken_away')),
  outcome       text,
  error_kind    text,
  error_message text,
  steps         jsonb       not null default '{}',
  notes         jsonb       not null default '[]',
  primary key (event_id, lease_token)
);
comment on table event_attempts is 'History of claims: who worked on an event, how it ended, milliseconds per step.';
comment on column event_attempts.notes is 'What was decided on the way, for example contacts that were not looked up and why.';
create index event_attempts_by_age on event_attempts (finished_at);

-- A change of status by hand. Our own statements clear the claim and raise the token themselves, so WHEN lets them pass
-- at the price of one comparison. NOTIFY folds duplicates within a transaction: thousands of rows still send one.
create function webhook_events_changed_by_hand() returns trigger language plpgsql as $$
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
  if new.status = 'received' then
    new.attempts := 0;
    new.available_at := now();
    new.outcome := null;
    new.error_kind := null;
    new.error_message := null;
    new.processed_at := null;
    new.suspect := false;
    new.reprocess := true;
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
  when (new.status <> 'processing' and (old.status <> 'processing' or (new.claimed_by is not null and new.lease_token = old.lease_token)))
  execute function webhook_events_changed_by_hand();

-- One hint a statement, whoever inserts: intake's batch or a plain INSERT in psql.
create function webhook_events_inserted() returns trigger language plpgsql as $$
begin
  perform pg_notify('webhook_events', '');
  return null;
end $$;
create trigger inserted after insert on webhook_events for each statement execute function webhook_events_inserted();

create table leads (
  lead_id          text primary key,
  name             text,
  phone            text,
  email            text,
  closed           boolean     not null default false,
  facts_updated_at timestamptz not null,
  first_seen_at    timestamptz not null default now()
);
comment on table leads is 'What we last knew of a lead. A partial payload changes only what it names.';

create table people (
  cpf        text        primary key check (cpf ~ '^[0-9]{11}$'),
  profile    jsonb,
  fetched_at timestamptz not null default now(),
  expires_at timestamptz not null
);
comment on table people is 'One person by CPF, with the sections of the record that we use. profile is null: the Work API has no record.';

create table contact_lookups (
  source     text        not null check (source in ('diretrix', 'work_api')),
  kind       text        not null check (kind in ('phone', 'email')),
  contact    text        not null,
  candidates jsonb       not null,
  fetched_at timestamptz not null default now(),
  expires_at timestamptz not null,
  primary key (contact, kind, source)
);
comment on table contact_lookups is 'Who a source suggested for a normalised phone or e-mail; an empty list means nobody.';

create table answers_under_way (
  what        text   primary key,
  event_id    uuid   not null,
  lease_token bigint not null
);
comment on table answers_under_way is 'A paid question that an event asks just now: others wait for its answer. It lapses with that event''s lease.';

create table lead_people (
  lead_id  text        not null,
  cpf      text        not null,
  found_by text        not null check (found_by in ('phone', 'email', 'both')),
  event_id uuid        not null,
  seen_at  timestamptz not null default now(),
  primary key (lead_id, cpf)
);
create index lead_people_by_person on lead_people (cpf);

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
  sent_at        timestamptz,
  proof          text        check (proof in ('answer', 'read_back', 'webhook', 'person')),
  c2s_message_id text,
  contacts       text[]      not null default '{}',
  created_at     timestamptz not null default now(),
  unique (lead_id, content_key),
  constraint sending_at_from_the_first_send check (status = 'pending' or sending_at is not null),
  constraint sent_is_dated check ((status = 'sent') = (sent_at is not null))
) with (fillfactor = 80);
comment on table lead_messages is 'The outbox: pending → sending → sent. A row in sending is read back from C2S before anything is sent again.';
comment on column lead_messages.ref is 'Last line of the message and its external_id: how it is recognised when read back.';
comment on column lead_messages.contacts is 'The phones and e-mails it is about: a later message says what is new.';
comment on column lead_messages.sends is 'How often it was given to the network.';
comment on column lead_messages.looks is 'Looks after the settle time that did not find it, since the last send.';
create index lead_messages_open on lead_messages (lead_id) where status <> 'sent';
create index lead_messages_by_event on lead_messages (event_id);

create table upstreams (
  name          text        primary key,
  paused_until  timestamptz,
  reason        text,
  probing_until timestamptz,
  failures      integer     not null default 0,
  pauses        integer     not null default 0,
  next_slot_at  timestamptz not null default now(),
  min_interval  interval    not null default '0',
  daily_budget  integer     not null default 0,
  budget_day    date        not null default current_date,
  calls_today   integer     not null default 0,
  changed_at    timestamptz not null default now()
) with (fillfactor = 50);
comment on table upstreams is 'Shared by all pollers: pauses, the rate limit''s next free slot, the day''s paid calls.';
comment on column upstreams.reason is 'Why it is paused, in one sentence; null when it is not.';
insert into upstreams (name) values ('c2s'), ('diretrix'), ('work_api');

create table rejected_deliveries (
  id          uuid        primary key default gen_random_uuid(),
  raw         bytea       not null,
  reason      text        not null,
  detail      text,
  lead_id     text,
  headers     jsonb       not null default '{}',
  received_at timestamptz not null default now(),
  replayed_at timestamptz
);
comment on table rejected_deliveries is 'Authentic deliveries that are no readable event, whole, for a person to look at or to replay.';
create index rejected_deliveries_by_age on rejected_deliveries (received_at);

create table pollers (
  name        text        primary key,
  started_at  timestamptz not null default now(),
  beat_at     timestamptz not null default now(),
  in_flight   integer     not null default 0,
  concurrency integer     not null
) with (fillfactor = 50);
comment on table pollers is 'Heartbeats, for people and for /health. No decision about an event rests on them: leases do that.';
