-- People as tables that an analyst can ask, views for operators, and what it takes to forget somebody for good.

-- ---- people ------------------------------------------------------------------------------------------------------------------

-- The columns are computed from the profile, so the two can never disagree. Dates go through make_date: a cast from text depends
-- on a session's settings, which a stored column must not.
alter table people
  add column first_seen_at      timestamptz not null default now(),
  add column profile_fetched_at timestamptz,
  add column full_name          text    generated always as (profile ->> 'name') stored,
  add column birth_date         date    generated always as (make_date(
    substr(profile ->> 'birth_date', 1, 4)::integer,
    substr(profile ->> 'birth_date', 6, 2)::integer,
    substr(profile ->> 'birth_date', 9, 2)::integer)) stored,
  add column sex                text    generated always as (profile ->> 'sex') stored,
  add column mother             text    generated always as (profile ->> 'mother') stored,
  add column marital_status     text    generated always as (profile ->> 'marital_status') stored,
  add column education          text    generated always as (profile ->> 'education') stored,
  add column occupation         text    generated always as (profile ->> 'occupation') stored,
  add column deceased           boolean generated always as (case when profile is not null then coalesce((profile ->> 'deceased')::boolean, false) end) stored,
  add column irregular          text    generated always as (profile ->> 'irregular') stored,
  add column income             numeric(12, 2) generated always as ((profile ->> 'income')::numeric) stored,
  add column income_from        numeric(12, 2) generated always as ((profile -> 'income_range' ->> 0)::numeric) stored,
  add column income_to          numeric(12, 2) generated always as ((profile -> 'income_range' ->> 1)::numeric) stored,
  add column purchasing_power   text    generated always as (profile ->> 'purchasing_power') stored,
  add column credit_score       integer generated always as ((profile ->> 'credit_score')::integer) stored,
  add column credit_risk        text    generated always as (profile ->> 'credit_risk') stored;
update people set profile_fetched_at = fetched_at where profile is not null;
comment on column people.fetched_at is 'When the newest answer was asked for, be it a record or "no record".';
comment on column people.profile_fetched_at is 'When the record that is kept here was asked for.';
comment on column people.income is 'R$ a month as the record has it, before INCOME_MULTIPLIER.';
comment on column people.irregular is 'The CPF''s standing at the tax office where it is not regular; null for a regular person.';
create index people_by_age on people (fetched_at);
create index contact_lookups_by_source on contact_lookups (source, kind, fetched_at);

-- What the record says of how a person can be reached. Entries that a newer record no longer has stay, with the time when they
-- were last seen: that is how old and present ones are told apart.
create table person_phones (
  cpf           text        not null references people on delete cascade,
  phone         text        not null,
  source        text        not null,
  rank          integer     not null,
  kind          text,
  operator      text,
  active        boolean,
  whatsapp      boolean,
  first_seen_at timestamptz not null,
  last_seen_at  timestamptz not null,
  primary key (cpf, phone, source)
);
comment on table person_phones is 'Phones of a person, as +55 and number. Of equal last_seen_at are those of one record; rank 1 is its best.';
create index person_phones_by_phone on person_phones (phone);

create table person_emails (
  cpf           text        not null references people on delete cascade,
  email         text        not null,
  source        text        not null,
  rank          integer     not null,
  priority      text,
  quality       text,
  personal      boolean,
  blacklisted   boolean,
  first_seen_at timestamptz not null,
  last_seen_at  timestamptz not null,
  primary key (cpf, email, source)
);
comment on table person_emails is 'E-mail addresses of a person, lower case. priority and quality are the source''s own words.';
create index person_emails_by_email on person_emails (email);

create table person_addresses (
  cpf           text        not null references people on delete cascade,
  address_key   text        not null,
  source        text        not null,
  rank          integer     not null,
  street_type   text,
  street        text,
  number        text,
  complement    text,
  district      text,
  city          text,
  state         text,
  postcode      text,
  first_seen_at timestamptz not null,
  last_seen_at  timestamptz not null,
  primary key (cpf, address_key, source)
);
comment on table person_addresses is 'Addresses of a person. address_key is street (without accents and case), number and postcode or city: what makes two spellings one address.';

create table person_companies (
  cpf           text        not null references people on delete cascade,
  cnpj          text        not null,
  source        text        not null,
  rank          integer     not null,
  name          text,
  relation      text,
  since         date,
  active        boolean,
  first_seen_at timestamptz not null,
  last_seen_at  timestamptz not null,
  primary key (cpf, cnpj, source)
);
comment on table person_companies is 'Companies that a person owns or manages, or did (active is false).';

alter table leads add column last_seen_at timestamptz not null default now();
comment on column leads.last_seen_at is 'When an event last told of this lead; retention counts from here.';
create index leads_by_age on leads (last_seen_at);

-- ---- forgetting --------------------------------------------------------------------------------------------------------------

alter table webhook_events add column payload_removed_at timestamptz;
comment on column webhook_events.payload_removed_at is
  'The payload was removed, by age or by an erasure. The row stays: its key is what recognises the same delivery again.';
-- What retention still has to look at. Without it each pass would walk over two years of events that it emptied long ago.
create index webhook_events_with_payload on webhook_events (processed_at) where status in ('completed', 'failed') and payload_removed_at is null;
create index lead_messages_with_body on lead_messages (created_at) where body <> '';
create index rejected_deliveries_with_bytes on rejected_deliveries (received_at) where raw <> ''::bytea;

alter table webhook_events drop constraint webhook_events_outcome_check;
alter table webhook_events add constraint webhook_events_outcome_check
  check (outcome in ('enriched', 'partial', 'not_found', 'unchanged', 'superseded', 'ignored', 'erased'));

create table erased_leads (
  lead_id   text        primary key,
  erased_at timestamptz not null default clock_timestamp()
);
comment on table erased_leads is
  'Leads that were erased. What C2S still tells of them is stored without content and never worked on. Delete a row to lift that.';

create table erasures (
  id        uuid        primary key default gen_random_uuid(),
  asked_by  text        not null check (asked_by in ('lead', 'cpf')),
  erased_at timestamptz not null default clock_timestamp(),
  counts    jsonb       not null
);
comment on table erasures is 'Receipts: what was removed and when, without whose it was.';

create table duties (
  name     text        primary key,
  began_at timestamptz not null
);
comment on table duties is 'When a duty that one poller does for all was last begun. Who moves the time on has the turn.';

-- An erased lead stays erased, whoever stores something of it: a webhook, a reconciliation, an operator who resets everything,
-- a poller that gives an event back. Named to come after changed_by_hand: triggers run in the order of their names.
-- It runs as its owner because intake may not read the list.
create function keep_lead_erased() returns trigger language plpgsql security definer as $$
begin
  if exists (select from erased_leads where lead_id = new.lead_id) then
    new.payload_raw := '{}';
    new.payload_removed_at := coalesce(new.payload_removed_at, clock_timestamp());
    new.status := 'completed';
    new.outcome := 'erased';
    new.processed_at := coalesce(new.processed_at, clock_timestamp());
    new.error_kind := null;
    new.error_message := null;
    new.fingerprint := null;
    new.waiting_for := null;
    new.suspect := false;
    new.reprocess := false;
  end if;
  return new;
end $$;
create trigger erased_when_stored before insert on webhook_events for each row execute function keep_lead_erased();
create trigger erased_when_received_again before update of status on webhook_events for each row
  when (new.status = 'received' and old.status <> 'received') execute function keep_lead_erased();

create function keep_reject_erased() returns trigger language plpgsql security definer as $$
begin
  if new.lead_id is not null and exists (select from erased_leads where lead_id = new.lead_id) then
    new.raw := '';
    new.detail := null;
  end if;
  return new;
end $$;
create trigger erased_when_rejected before insert on rejected_deliveries for each row execute function keep_reject_erased();

-- A key whose payload is gone, or that we fetched ourselves, has nothing to compare with: the same key is the same delivery.
create or replace function stored_deliveries(ids uuid[], lead_ids text[], updated_ats timestamptz[], payloads jsonb[])
returns table (id uuid, verdict text) language sql volatile security definer as $$
  select given.id,
         case when event.id = given.id then 'stored'
              when event.payload_raw = given.payload or event.payload_removed_at is not null or event.hook_action = 'reconcile' then 'duplicate'
              else 'same_key_other_body' end
  from unnest(ids, lead_ids, updated_ats, payloads) as given (id, lead_id, updated_at, payload)
  join webhook_events event on event.lead_id = given.lead_id and event.updated_at = given.updated_at
$$;
do $$
begin
  -- pg_temp last, as in 0002.
  execute format('alter function stored_deliveries set search_path = %I, pg_temp', current_schema());
  execute format('alter function keep_lead_erased set search_path = %I, pg_temp', current_schema());
  execute format('alter function keep_reject_erased set search_path = %I, pg_temp', current_schema());
end $$;

-- ---- views for people who look ------------------------------------------------------------------------------------------------
-- A CPF is masked in all of them. Who must have it asks the tables.

create function masked_cpf(cpf text) returns text language sql immutable parallel safe as $$
  select '***.' || substr(cpf, 4, 3) || '.' || substr(cpf, 7, 3) || '-**'
$$;

create view v_people as
select masked_cpf(p.cpf) as cpf, p.full_name, p.birth_date, extract(year from age(p.birth_date))::integer as age, p.sex, p.mother, p.marital_status,
       p.education, p.occupation, p.deceased, p.irregular, p.income, p.income_from, p.income_to, p.purchasing_power, p.credit_score,
       p.credit_risk, p.profile is not null as has_record, p.profile_fetched_at, p.expires_at > now() as fresh,
       (select count(*) from lead_people l where l.cpf = p.cpf) as leads,
       (select f.phone from person_phones f where f.cpf = p.cpf order by f.last_seen_at desc, f.rank limit 1) as best_phone,
       (select m.email from person_emails m where m.cpf = p.cpf order by m.last_seen_at desc, m.rank limit 1) as best_email
  from people p;
comment on view v_people is 'One line a person, with the best contacts and how many leads led to them. The CPF is masked.';

create view v_leads as
select l.lead_id, l.name, l.closed, l.first_seen_at, l.last_seen_at, e.status, e.outcome, e.error_kind, e.error_message,
       w.people, w.cpfs, m.sent_at as last_told_at, m.messages
  from leads l
  left join lateral (select status, outcome, error_kind, error_message from webhook_events
                      where lead_id = l.lead_id order by updated_at desc limit 1) e on true
  left join lateral (select string_agg(p.full_name, ', ' order by p.full_name) as people, string_agg(masked_cpf(lp.cpf), ', ' order by p.full_name) as cpfs
                       from lead_people lp left join people p on p.cpf = lp.cpf where lp.lead_id = l.lead_id) w on true
  left join lateral (select max(sent_at) as sent_at, count(*) as messages from lead_messages where lead_id = l.lead_id and status = 'sent') m on true;
comment on view v_leads is 'One line a lead: how its newest event stands, who was found, when the seller was last told.';

create view v_lead_history as
select lead_id, received_at as at, 'event received' as what, coalesce(hook_action, '') as detail, id as event_id from webhook_events
union all
select e.lead_id, a.finished_at, 'attempt ' || a.attempt || ' ' || a.result, coalesce(a.outcome, a.error_message, a.error_kind, ''), a.event_id
  from event_attempts a join webhook_events e on e.id = a.event_id
union all
select lead_id, coalesce(sent_at, sending_at, created_at), 'message ' || status, 'ref ' || ref, event_id from lead_messages;
comment on view v_lead_history is 'All that happened to a lead. Ask it with where lead_id = … order by at.';

create view v_queue as
select status, waiting_for, count(*) as events,
       count(*) filter (where status = 'received' and available_at <= now()) as due,
       now() - min(available_at) filter (where status = 'received' and available_at <= now()) as oldest_due_for,
       min(available_at) filter (where status = 'received' and available_at > now()) as next_due_at
  from webhook_events group by status, waiting_for;
comment on view v_queue is 'How many events stand where, what they wait for, how late the oldest due one is.';

create view v_in_flight as
select id as event_id, lead_id, claimed_by, attempts, claimed_at, lease_expires_at - now() as lease_left, deadline_at - now() as deadline_left,
       lease_expires_at < now() - interval '1 minute' as stuck
  from webhook_events where status = 'processing';
comment on view v_in_flight is 'What is worked on just now. stuck: its lease ended a minute ago and nobody took it back, so no poller runs.';

create view v_failures as
select f.error_kind, f.events, f.newest_at, e.error_message as newest_message, e.id as newest_event, e.lead_id as newest_lead
  from (select error_kind, count(*) as events, max(processed_at) as newest_at, (array_agg(id order by processed_at desc))[1] as newest
          from webhook_events where status = 'failed' group by error_kind) f
  join webhook_events e on e.id = f.newest;
comment on view v_failures is 'Failed events by kind, each with its newest case.';

create view v_messages_open as
select m.lead_id, m.ref, m.status, m.sends, m.looks, now() - coalesce(m.sending_at, m.created_at) as for_how_long, m.event_id, e.status as event_status,
       e.error_kind
  from lead_messages m left join webhook_events e on e.id = m.event_id
 where m.status <> 'sent';
comment on view v_messages_open is 'Messages that are not proven to be on their lead. sending with a failed event: a person must look.';

create view v_throughput as
select to_timestamp(floor(extract(epoch from processed_at) / 300) * 300) as five_minutes,
       count(*) filter (where status = 'completed') as completed, count(*) filter (where status = 'failed') as failed,
       percentile_cont(0.5) within group (order by extract(epoch from processed_at - received_at)) as median_seconds,
       percentile_cont(0.95) within group (order by extract(epoch from processed_at - received_at)) as p95_seconds
  from webhook_events
 where status in ('completed', 'failed') and processed_at > now() - interval '1 day'
 group by 1;
comment on view v_throughput is 'The last day in steps of five minutes: how much was settled, and how long after it was received.';

create view v_spend as
select (fetched_at at time zone 'America/Sao_Paulo')::date as day, source, kind, count(*) as answers,
       count(*) filter (where found) as found
  from (select source, kind, fetched_at, candidates <> '[]' as found from contact_lookups
        union all
        select 'work_api', 'record', fetched_at, profile is not null from people) a
 group by 1, 2, 3;
comment on view v_spend is
  'Paid answers by the day on which they were asked for. Counts what is remembered: an answer that was asked for again counts on the later day only. Today''s calls, tries included, are upstreams.calls_today.';

create view v_hit_rate as
with recent as (
  select s.source, s.kind, r.found, row_number() over (partition by s.source, s.kind order by r.fetched_at desc) as place
    from (values ('diretrix', 'phone'), ('diretrix', 'email'), ('work_api', 'phone')) as s (source, kind)
    cross join lateral (select fetched_at, candidates <> '[]' as found from contact_lookups c
                         where c.source = s.source and c.kind = s.kind order by fetched_at desc limit 550) r
  union all
  select 'work_api', 'record', r.found, row_number() over (order by r.fetched_at desc)
    from (select fetched_at, profile_fetched_at is not distinct from fetched_at as found from people order by fetched_at desc limit 550) r
), counted as (
  select source, kind, count(*) filter (where place <= 50) as latest, count(*) filter (where place <= 50 and found) as latest_found,
         count(*) filter (where place > 50) as earlier, count(*) filter (where place > 50 and found) as earlier_found
    from recent group by source, kind
)
select source, kind, latest, latest_found, earlier, earlier_found,
       -- Three standard deviations below what it was: chance alone does that once in several hundred times.
       latest = 50 and earlier >= 100
         and latest_found < 50 * earlier_found / earlier::numeric
                            - 3 * sqrt(50 * (earlier_found / earlier::numeric) * (1 - earlier_found / earlier::numeric)) as fell
  from counted;
comment on view v_hit_rate is
  'How many of the latest 50 answers of each source found somebody, against the (up to 500) answers before them. fell: far too few to be chance.';

-- ---- who may do what -----------------------------------------------------------------------------------------------------------

alter function grant_roles() rename to grant_roles_for_the_queue;
create function grant_roles() returns void language plpgsql as $$
declare
  held text;
begin
  perform grant_roles_for_the_queue();
  for held in select rolname from pg_roles where rolname in ('c2s_web', 'c2s_poller', 'c2s_ops') loop
    execute format('grant select on v_hit_rate to %I', held);
    if held = 'c2s_poller' then
      -- Erasure and retention run with the poller's rights too.
      execute format('grant select, insert, update, delete on answers_under_way, person_phones, person_emails, person_addresses, person_companies, duties to %I', held);
      execute format('grant select, insert on erased_leads, erasures to %I', held);
      execute format('grant update (raw, detail) on rejected_deliveries to %I', held);
    end if;
    if held = 'c2s_ops' then
      execute format('grant select on answers_under_way, person_phones, person_emails, person_addresses, person_companies, erased_leads, erasures, duties to %I', held);
      execute format('grant select on v_people, v_leads, v_lead_history, v_queue, v_in_flight, v_failures, v_messages_open, v_throughput, v_spend to %I', held);
    end if;
  end loop;
end $$;
comment on function grant_roles is 'Gives the roles that exist what they need, no more. To be run again by the owner after roles were created later.';
revoke execute on function grant_roles from public;

select grant_roles();
