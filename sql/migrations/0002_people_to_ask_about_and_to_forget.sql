-- People as tables that an analyst can ask, and what it takes to forget somebody for good.

-- The columns are computed from the profile, so the two can never disagree. Dates go through make_date: a
-- cast from text depends on a session's settings, which a stored column must not.
create table people (
  cpf                text        primary key check (cpf ~ '^[0-9]{11}$'),
  profile            jsonb,
  fetched_at         timestamptz not null default now(),
  expires_at         timestamptz not null,
  first_seen_at      timestamptz not null default now(),
  profile_fetched_at timestamptz,
  full_name          text        generated always as (profile ->> 'name') stored,
  birth_date         date        generated always as (make_date(
    substr(profile ->> 'birth_date', 1, 4)::integer,
    substr(profile ->> 'birth_date', 6, 2)::integer,
    substr(profile ->> 'birth_date', 9, 2)::integer)) stored,
  sex                text        generated always as (profile ->> 'sex') stored,
  mother             text        generated always as (profile ->> 'mother') stored,
  marital_status     text        generated always as (profile ->> 'marital_status') stored,
  education          text        generated always as (profile ->> 'education') stored,
  occupation         text        generated always as (profile ->> 'occupation') stored,
  deceased           boolean     generated always as (
    case when profile is not null then coalesce((profile ->> 'deceased')::boolean, false) end) stored,
  irregular          text        generated always as (profile ->> 'irregular') stored,
  income             numeric(12, 2) generated always as ((profile ->> 'income')::numeric) stored,
  income_from        numeric(12, 2) generated always as ((profile -> 'income_range' ->> 0)::numeric) stored,
  income_to          numeric(12, 2) generated always as ((profile -> 'income_range' ->> 1)::numeric) stored,
  purchasing_power   text        generated always as (profile ->> 'purchasing_power') stored,
  credit_score       integer     generated always as ((profile ->> 'credit_score')::integer) stored,
  credit_risk        text        generated always as (profile ->> 'credit_risk') stored
);
comment on table people is
  'One person by CPF, with the sections of the record that we use. profile is null: the Work API has no '
  'record.';
comment on column people.fetched_at is 'When the newest answer was asked for, be it a record or "no record".';
comment on column people.profile_fetched_at is 'When the record that is kept here was asked for.';
comment on column people.income is 'R$ a month as the record has it, before INCOME_MULTIPLIER.';
comment on column people.irregular is
  'The CPF''s standing at the tax office where it is not regular; null for a regular person.';
create index people_by_age on people (fetched_at);

create table contact_lookups (
  source     text        not null check (source in ('diretrix', 'work_api')),
  kind       text        not null check (kind in ('phone', 'email')),
  contact    text        not null,
  candidates jsonb       not null,
  fetched_at timestamptz not null default now(),
  expires_at timestamptz not null,
  primary key (contact, kind, source)
);
comment on table contact_lookups is
  'Who a source suggested for a normalised phone or e-mail; an empty list means nobody.';
create index contact_lookups_by_source on contact_lookups (source, kind, fetched_at);

create table answers_under_way (
  what        text   primary key,
  event_id    uuid   not null,
  lease_token bigint not null
);
comment on table answers_under_way is
  'A paid question that an event is asking now: others wait for its answer. It lapses with that event''s '
  'lease.';

create table paid_calls (
  day      date not null default (clock_timestamp() at time zone 'America/Sao_Paulo')::date,
  upstream text not null,
  kind     text not null,
  found    boolean
);
comment on table paid_calls is
  'What was paid, a row for each question: written with its answer. See v_spend.';
comment on column paid_calls.found is
  'Whether the answer named anybody; null where the answer was lost, so that the question was perhaps paid.';
create index paid_calls_by_day on paid_calls using brin (day);

-- The remembered answer to a paid question, or else the right to ask it and the leave of the limits, all or
-- nothing. decision: remembered (answer, answered_at), busy (another event is asking, wait for its answer),
-- or that of admit_call. A function, because the second look must see an answer that was stored while the
-- right to ask was being taken: else it would be paid for twice.
create function ask(
  what text, asker uuid, token bigint, upstream text, kind text, subject text, slot_wait interval,
  probe_lease interval, at timestamptz,
  out decision text, out wait interval, out why text, out failed integer, out probe timestamptz,
  out answer jsonb, out answered_at timestamptz
) language plpgsql set search_path from current as $$
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

create table lead_people (
  lead_id  text        not null,
  cpf      text        not null,
  found_by text        not null check (found_by in ('phone', 'email', 'both')),
  event_id uuid        not null,
  seen_at  timestamptz not null default now(),
  primary key (lead_id, cpf)
);
create index lead_people_by_person on lead_people (cpf);

-- What the record says of how a person can be reached. Entries that a newer record no longer has stay, with
-- the time when they were last seen: that tells old and present ones apart.
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
comment on table person_phones is
  'Phones of a person, as +55 and number. Those with one last_seen_at are from one record; rank 1 is its '
  'best.';
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
comment on table person_emails is
  'E-mail addresses of a person, lower case. priority and quality are the source''s own words.';
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
comment on table person_addresses is
  'Addresses of a person. address_key is street (without accents and case), number and postcode or city: it '
  'makes two spellings one address.';

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

-- ---- forgetting -------------------------------------------------------------------------------------------

create table erased_leads (
  lead_id   text        primary key,
  erased_at timestamptz not null default clock_timestamp()
);
comment on table erased_leads is
  'Leads that were erased. What C2S still tells of them is stored without content and never worked on. '
  'Delete a row to lift that.';

-- A text reduced to what a search goes by: small letters and digits, wide ones as plain ones. Linear,
-- whoever wrote the text.
create function letters_and_digits(t text) returns text language sql immutable parallel safe as $$
  select regexp_replace(
    lower(translate(t, '０１２３４５６７８９ａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ',
                       '0123456789abcdefghijklmnopqrstuvwxyz')),
    '[^0-9a-z]', '', 'g')
$$;

create function names_any(t text, needles text[]) returns boolean language sql immutable parallel safe as $$
  select exists (select from (select letters_and_digits(t) as squeezed offset 0) s, unnest(needles) as needle
                  where strpos(s.squeezed, needle) > 0)
$$;

-- What C2S calls its hook; anything else in that place is free text, which goes when the payload goes.
create function known_hook_action(hook text) returns text language sql immutable parallel safe as $$
  select hook where hook in ('on_create_lead', 'on_update_lead', 'on_close_lead', 'reconcile')
$$;

create table erasures (
  id        uuid        primary key default gen_random_uuid(),
  asked_by  text        not null check (asked_by in ('lead', 'cpf')),
  erased_at timestamptz not null default clock_timestamp(),
  counts    jsonb       not null
);
comment on table erasures is 'Receipts: what was removed and when, without whose it was.';

create table suppressions (
  hash       text        primary key,
  kind       text        not null check (kind in ('cpf', 'phone', 'email')),
  created_at timestamptz not null default now()
);
comment on table suppressions is
  'People and contacts that must not be processed: keyed hashes, so that the list names nobody. Their events '
  'end ignored.';

-- An erased lead stays erased, whoever stores something of it: a webhook, a reconciliation, an operator who
-- resets everything, a poller that gives an event back. Its triggers' names sort after changed_by_hand:
-- triggers run in the order of their names. It runs as its owner because intake may not read the list.
create function keep_lead_erased() returns trigger
language plpgsql security definer set search_path from current as $$
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
create trigger erased_when_stored before insert on webhook_events
  for each row execute function keep_lead_erased();
create trigger erased_when_received_again before update of status on webhook_events for each row
  when (new.status = 'received' and old.status <> 'received') execute function keep_lead_erased();

create function keep_reject_erased() returns trigger
language plpgsql security definer set search_path from current as $$
begin
  if new.lead_id is not null and exists (select from erased_leads where lead_id = new.lead_id) then
    new.raw := '';
    new.detail := null;
  end if;
  return new;
end $$;
create trigger erased_when_rejected before insert on rejected_deliveries
  for each row execute function keep_reject_erased();

-- ---- views for people who look ----------------------------------------------------------------------------
-- A CPF is masked in all of them. Who must have it asks the tables.

create function masked_cpf(cpf text) returns text language sql immutable parallel safe as $$
  select '***.' || substr(cpf, 4, 3) || '.' || substr(cpf, 7, 3) || '-**'
$$;

create view v_people as
select masked_cpf(p.cpf) as cpf, p.full_name, p.birth_date,
       extract(year from age(p.birth_date))::integer as age,
       p.sex, p.mother, p.marital_status, p.education, p.occupation, p.deceased, p.irregular,
       p.income, p.income_from, p.income_to, p.purchasing_power, p.credit_score, p.credit_risk,
       p.profile is not null as has_record,
       p.profile_fetched_at, p.expires_at > now() as fresh,
       (select count(*) from lead_people l where l.cpf = p.cpf) as leads,
       (select f.phone from person_phones f
         where f.cpf = p.cpf
         order by f.last_seen_at desc, f.rank limit 1) as best_phone,
       (select m.email from person_emails m
         where m.cpf = p.cpf
         order by m.last_seen_at desc, m.rank limit 1) as best_email
  from people p;
comment on view v_people is
  'One row per person, with the best contacts and how many leads led to them. The CPF is masked.';

create view v_leads as
select l.lead_id, l.name, l.closed, l.first_seen_at, l.last_seen_at,
       e.status, e.outcome, e.error_kind, e.error_message,
       w.people, w.cpfs, m.sent_at as last_told_at, m.messages
  from leads l
  left join lateral (select status, outcome, error_kind, error_message from webhook_events
                      where lead_id = l.lead_id
                      order by updated_at desc limit 1) e on true
  left join lateral (select string_agg(p.full_name, ', ' order by p.full_name) as people,
                            string_agg(masked_cpf(lp.cpf), ', ' order by p.full_name) as cpfs
                       from lead_people lp
                       left join people p on p.cpf = lp.cpf
                      where lp.lead_id = l.lead_id) w on true
  left join lateral (select max(sent_at) as sent_at, count(*) as messages from lead_messages
                      where lead_id = l.lead_id and status = 'sent') m on true;
comment on view v_leads is
  'One row per lead: how its newest event stands, who was found, when the seller was last told.';

create view v_spend as
select day, upstream as source, kind, count(*) filter (where found is not null) as answers,
       count(*) filter (where found) as found, count(*) filter (where found is null) as perhaps_paid
  from paid_calls
 group by 1, 2, 3;
comment on view v_spend is
  'Paid answers by day (America/Sao_Paulo), source and kind. perhaps_paid: questions whose answer was lost. '
  'Today''s calls, tries included, are upstreams.calls_today.';

create view v_hit_rate as
with recent as (
  select s.source, s.kind, r.found,
         row_number() over (partition by s.source, s.kind order by r.fetched_at desc) as place
    from (values ('diretrix', 'phone'), ('diretrix', 'email'), ('work_api', 'phone')) as s (source, kind)
    cross join lateral (select fetched_at, candidates <> '[]' as found from contact_lookups c
                         where c.source = s.source and c.kind = s.kind
                         order by fetched_at desc limit 550) r
  union all
  select 'work_api', 'record', r.found, row_number() over (order by r.fetched_at desc)
    from (select fetched_at, profile_fetched_at is not distinct from fetched_at as found from people
           order by fetched_at desc limit 550) r
), counted as (
  select source, kind, count(*) filter (where place <= 50) as latest,
         count(*) filter (where place <= 50 and found) as latest_found,
         count(*) filter (where place > 50) as earlier,
         count(*) filter (where place > 50 and found) as earlier_found
    from recent
   group by source, kind
)
select source, kind, latest, latest_found, earlier, earlier_found,
       -- Three standard deviations below what it was: chance alone does that once in several hundred times.
       latest = 50 and earlier >= 100
         and latest_found < 50 * earlier_found / earlier::numeric
                            - 3 * sqrt(50 * (earlier_found / earlier::numeric)
                                          * (1 - earlier_found / earlier::numeric)) as fell
  from counted;
comment on view v_hit_rate is
  'How many of the latest 50 answers of each source found somebody, against the (up to 500) answers before '
  'them. fell: far too few to be chance.';
