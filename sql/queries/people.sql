-- Remembered answers: who may ask a paid question, what is kept of the answer, and what is forgotten.
--
-- One record is kept in one transaction: the person's own row first. Its lock puts two writers of the same
-- person in order, and the rows of a list follow in the order of their keys, so that no two transactions can
-- wait for each other.

-- name: ask
-- A remembered answer, or the right to ask a paid question together with the leave of the limits. See the
-- function.
select decision, wait, why, failed, probe, answer, answered_at
  from ask(%(what)s, %(event_id)s, %(lease_token)s, %(source)s, %(kind)s, %(subject)s,
           %(slot_wait)s::interval, %(probe_lease)s::interval, %(now)s::timestamptz);

-- name: give_up_asking
-- The question got no answer; whoever waits may ask now. Perhaps it was paid all the same.
with given_up as (
  delete from answers_under_way
   where what = %(what)s and event_id = %(event_id)s and lease_token = %(lease_token)s
  returning 1
)
insert into paid_calls (upstream, kind)
select %(source)s, %(kind)s from given_up where %(perhaps_paid)s::boolean;

-- name: keep_lookup
-- Remembers a source's answer and ends the question. An older answer never replaces a newer one: a poller
-- that was stopped between its question and this line may come minutes late. Nothing is kept of a lead that
-- was erased meanwhile.
with event as materialized (
  select outcome from webhook_events where id = %(event_id)s for share
), answered as (
  delete from answers_under_way where what = %(what)s and event_id = %(event_id)s
), paid as (
  insert into paid_calls (upstream, kind, found) values (%(source)s, %(kind)s, %(candidates)s::jsonb <> '[]')
)
insert into contact_lookups as known (source, kind, contact, candidates, fetched_at, expires_at)
select %(source)s, %(kind)s, %(subject)s, %(candidates)s::jsonb,
       %(asked_at)s::timestamptz, %(asked_at)s::timestamptz + %(freshness)s::interval
 where not exists (select from event where outcome = 'erased')
on conflict (contact, kind, source) do update
   set candidates = excluded.candidates, fetched_at = excluded.fetched_at, expires_at = excluded.expires_at
 where known.fetched_at <= excluded.fetched_at;

-- name: keep_person
-- Remembers a person's record and ends the question. "No record" never overwrites a record that was once
-- found, and an older answer changes nothing; neither does one of a lead that was erased meanwhile. Whole,
-- and taken apart into rows.
with event as materialized (
  select outcome from webhook_events where id = %(event_id)s for share
), answered as (
  delete from answers_under_way where what = %(what)s and event_id = %(event_id)s
), paid as (
  insert into paid_calls (upstream, kind, found) values ('work_api', 'record', %(profile)s::jsonb is not null)
), kept as (
  insert into people as old (cpf, profile, profile_fetched_at, fetched_at, expires_at)
  select %(subject)s, %(profile)s::jsonb,
         case when %(profile)s::jsonb is not null then %(asked_at)s::timestamptz end,
         %(asked_at)s, %(asked_at)s + %(freshness)s::interval
   where not exists (select from event where outcome = 'erased')
  on conflict (cpf) do update
     set profile = coalesce(excluded.profile, old.profile),
         profile_fetched_at = coalesce(excluded.profile_fetched_at, old.profile_fetched_at),
         fetched_at = excluded.fetched_at, expires_at = excluded.expires_at
   where old.fetched_at <= excluded.fetched_at
  returning cpf, fetched_at as at
), phones as (
  insert into person_phones as old
         (cpf, phone, source, rank, kind, operator, active, whatsapp, first_seen_at, last_seen_at)
  select cpf, '+55' || number, 'work_api', rank, kind, operator, active, whatsapp, at, at
    from kept k, rows from (jsonb_to_recordset(%(phones)s::jsonb)
           as (number text, kind text, operator text, active boolean, whatsapp boolean))
         with ordinality as p (number, kind, operator, active, whatsapp, rank)
   order by 2
  on conflict (cpf, phone, source) do update
     set rank = excluded.rank, kind = excluded.kind, operator = excluded.operator, active = excluded.active,
         whatsapp = excluded.whatsapp, last_seen_at = excluded.last_seen_at
   where old.last_seen_at <= excluded.last_seen_at
), emails as (
  insert into person_emails as old
         (cpf, email, source, rank, priority, quality, personal, blacklisted, first_seen_at, last_seen_at)
  select cpf, address, 'work_api', rank, priority, quality, personal, blacklisted, at, at
    from kept k, rows from (jsonb_to_recordset(%(emails)s::jsonb)
           as (address text, priority text, quality text, personal boolean, blacklisted boolean))
         with ordinality as e (address, priority, quality, personal, blacklisted, rank)
   order by 2
  on conflict (cpf, email, source) do update
     set rank = excluded.rank, priority = excluded.priority, quality = excluded.quality,
         personal = excluded.personal, blacklisted = excluded.blacklisted,
         last_seen_at = excluded.last_seen_at
   where old.last_seen_at <= excluded.last_seen_at
), addresses as (
  insert into person_addresses as old
         (cpf, address_key, source, rank, street_type, street, number, complement, district, city, state,
          postcode, first_seen_at, last_seen_at)
  select cpf, key, 'work_api', rank, street_type, street, number, complement, district,
         city, state, postcode, at, at
    from kept k, rows from (jsonb_to_recordset(%(addresses)s::jsonb)
           as (key text, street_type text, street text, number text, complement text, district text,
               city text, state text, postcode text))
         with ordinality
           as a (key, street_type, street, number, complement, district, city, state, postcode, rank)
   order by 2
  on conflict (cpf, address_key, source) do update
     set rank = excluded.rank, street_type = excluded.street_type, street = excluded.street,
         number = excluded.number, complement = excluded.complement, district = excluded.district,
         city = excluded.city, state = excluded.state, postcode = excluded.postcode,
         last_seen_at = excluded.last_seen_at
   where old.last_seen_at <= excluded.last_seen_at
)
insert into person_companies as old
       (cpf, cnpj, source, rank, name, relation, since, active, first_seen_at, last_seen_at)
select cpf, cnpj, 'work_api', rank, name, relation, since, active, at, at
  from kept k, rows from (jsonb_to_recordset(%(companies)s::jsonb)
         as (cnpj text, name text, relation text, since date, active boolean))
       with ordinality as c (cnpj, name, relation, since, active, rank)
 order by 2
on conflict (cpf, cnpj, source) do update
   set rank = excluded.rank, name = excluded.name, relation = excluded.relation, since = excluded.since,
       active = excluded.active, last_seen_at = excluded.last_seen_at
 where old.last_seen_at <= excluded.last_seen_at;

-- name: forget_people
-- The records of the people behind these leads are no longer fresh: the next event asks again. What they say
-- stays.
update people set expires_at = clock_timestamp()
 where cpf in (select cpf from lead_people where lead_id = any(%(lead_ids)s::text[]))
   and expires_at > clock_timestamp();

-- name: forget_lookups
-- The same for answers about these contacts, and for those that led to the leads' people.
update contact_lookups set expires_at = clock_timestamp()
 where expires_at > clock_timestamp()
   and (contact = any(%(contacts)s::text[])
        or exists (select from lead_people l
                    where l.lead_id = any(%(lead_ids)s::text[])
                      and candidates @> jsonb_build_array(jsonb_build_object('cpf', l.cpf))));

-- name: lead_contacts
-- The contact texts of these leads as they were last known.
select lead_id, name, phone, email from leads where lead_id = any(%(lead_ids)s::text[]);

-- name: hit_rates
-- Every source and kind of question; see the view.
select source, kind, latest, latest_found, earlier, earlier_found, fell from v_hit_rate order by source, kind;
