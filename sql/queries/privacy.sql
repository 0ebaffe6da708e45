-- Forgetting: one person at their wish (erase), everybody in time (retention).
--
-- Erasing is one transaction. Its first statements put the leads on the list of erased ones and lock their
-- events: from there on no poller can write anything of them, because what a poller writes takes a share lock
-- on its event and looks at this. Retention works in small batches that skip locked rows, so it never waits
-- for anybody and nobody waits for it.

-- name: leads_of_person
-- Leads that lead to a CPF: linked to it, asked about just now, or with the number written in a payload or a
-- message, in any of its forms. Reads every payload; an erasure is rare, an index for it would be paid for by
-- each webhook.
select lead_id from lead_people where cpf = %(cpf)s
union
select e.lead_id
  from answers_under_way u join webhook_events e on e.id = u.event_id
 where u.what = %(question)s
union
select lead_id from webhook_events where payload_removed_at is null and payload_raw::text ~ %(written)s
union
select lead_id from lead_messages where body ~ %(written)s;

-- name: close_leads
-- From here on nothing of these leads is stored with its content, or worked on.
insert into erased_leads (lead_id)
select lead_id from unnest(%(lead_ids)s::text[]) as l (lead_id) order by lead_id
on conflict do nothing;

-- name: lock_events
-- The leads' events, with what they still say. Waits for the pollers' short transactions.
select id, lead_id, hook_action, payload_raw::text
  from webhook_events
 where lead_id = any(%(lead_ids)s::text[])
 order by id for update;

-- name: lock_leads
select lead_id, name, phone, email
  from leads
 where lead_id = any(%(lead_ids)s::text[])
 order by lead_id for update;

-- name: told_of_leads
-- Contacts in the outbox.
select contacts from lead_messages where lead_id = any(%(lead_ids)s::text[]);

-- name: people_to_erase
-- The people behind the leads or their contacts, without those who belong to another lead too. Who was named
-- is erased anyway.
select cpf from (
  select cpf from lead_people where lead_id = any(%(lead_ids)s::text[])
  union
  select c.cpf
    from contact_lookups l, jsonb_to_recordset(l.candidates) as c (cpf text)
   where l.contact = any(%(contacts)s::text[])
) found
 where not exists (select from lead_people other
                    where other.cpf = found.cpf and other.lead_id <> all(%(lead_ids)s::text[]))
union
select %(cpf)s::text where %(cpf)s::text is not null;

-- name: contacts_of_people
-- As the record has them: deliveries that could not be read may hold them.
select phone from person_phones where cpf = any(%(cpfs)s::text[])
union
select email from person_emails where cpf = any(%(cpfs)s::text[]);

-- name: empty_events
-- The row stays without content: its key recognises the same delivery. A change of status by hand, so the
-- trigger raises the lease token and whoever works on it stops.
update webhook_events
   set status = 'completed', outcome = 'erased', payload_raw = '{}', payload_removed_at = clock_timestamp(),
       error_kind = null,
       error_message = null, fingerprint = null, losses = 0, reprocess = false
 where lead_id = any(%(lead_ids)s::text[]) and outcome is distinct from 'erased';

-- name: empty_attempts
update event_attempts set error_message = null
 where event_id = any(%(event_ids)s::uuid[]) and error_message is not null;

-- name: withdraw_messages
-- What was never given to the network need not be remembered.
delete from lead_messages where lead_id = any(%(lead_ids)s::text[]) and status = 'pending';

-- name: empty_messages
-- Key and ref stay, so that nothing is ever sent twice. A send without a clear answer is counted as told:
-- nobody looks for it any more, and it must not go out again.
update lead_messages
   set body = '', contacts = '{}', status = 'sent', sent_at = coalesce(sent_at, sending_at)
 where lead_id = any(%(lead_ids)s::text[]) and (body <> '' or contacts <> '{}' or status <> 'sent');

-- name: delete_leads
delete from leads where lead_id = any(%(lead_ids)s::text[]);

-- name: unlink_people
delete from lead_people where lead_id = any(%(lead_ids)s::text[]) or cpf = any(%(cpfs)s::text[]);

-- name: delete_lookups
-- Answers that name an erased person, and answers about the leads' contacts, where these lead to nobody who
-- stays.
delete from contact_lookups l
 where exists (select from unnest(%(cpfs)s::text[]) as gone (cpf)
                where l.candidates @> jsonb_build_array(jsonb_build_object('cpf', gone.cpf)))
    or (l.contact = any(%(contacts)s::text[])
        and not exists (select from jsonb_to_recordset(l.candidates) as c (cpf text)
                          join lead_people other on other.cpf = c.cpf));

-- name: delete_questions
delete from answers_under_way
 where event_id = any(%(event_ids)s::uuid[])
    or what = any(select 'work_api cpf ' || cpf from unnest(%(cpfs)s::text[]) as gone (cpf));

-- name: delete_people
-- With everything that their records said, counted by table.
with phones as (delete from person_phones where cpf = any(%(cpfs)s::text[]) returning 1),
     emails as (delete from person_emails where cpf = any(%(cpfs)s::text[]) returning 1),
     addresses as (delete from person_addresses where cpf = any(%(cpfs)s::text[]) returning 1),
     companies as (delete from person_companies where cpf = any(%(cpfs)s::text[]) returning 1),
     gone as (delete from people where cpf = any(%(cpfs)s::text[]) returning 1)
select (select count(*) from gone) as people,
       (select count(*) from phones) as person_phones,
       (select count(*) from emails) as person_emails,
       (select count(*) from addresses) as person_addresses,
       (select count(*) from companies) as person_companies;

-- name: rejects
-- Deliveries that could not be read, as they came.
select id, lead_id, raw from rejected_deliveries where raw <> ''::bytea;

-- name: delete_rejects
delete from rejected_deliveries where id = any(%(ids)s::uuid[]);

-- name: write_receipt
insert into erasures (asked_by, counts) values (%(asked_by)s, %(counts)s::jsonb) returning id, erased_at;

-- name: age_payloads
-- Retention, RETENTION_PAYLOAD after an event was settled.
with old as materialized (
  select id from webhook_events
   where status in ('completed', 'failed') and payload_removed_at is null
     and processed_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
   order by processed_at limit %(batch)s for update skip locked
)
update webhook_events e
   set payload_raw = '{}', payload_removed_at = now()
  from old
 where e.id = old.id;

-- name: age_messages
-- Texts of messages. One that was never given to the network goes whole; its event composes a new one if it
-- is reprocessed.
with old as materialized (
  select id, status from lead_messages
   where body <> '' and created_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
   order by created_at limit %(batch)s for update skip locked
), withdrawn as (
  delete from lead_messages m using old where m.id = old.id and old.status = 'pending' returning m.id
), emptied as (
  update lead_messages m
     set body = '', contacts = '{}'
    from old
   where m.id = old.id and old.status <> 'pending'
  returning m.id
)
select (select count(*) from withdrawn) + (select count(*) from emptied);

-- name: age_rejects
with old as materialized (
  select id from rejected_deliveries
   where raw <> ''::bytea and received_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
   order by received_at limit %(batch)s for update skip locked
)
update rejected_deliveries r set raw = '', detail = null from old where r.id = old.id;

-- name: age_leads
-- Leads of which no event has told for so long, with their links to people.
with old as materialized (
  select lead_id from leads where last_seen_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
   order by last_seen_at limit %(batch)s for update skip locked
), unlinked as (
  delete from lead_people l using old where l.lead_id = old.lead_id
)
delete from leads l using old where l.lead_id = old.lead_id;

-- name: age_lookups
-- Answers that are neither fresh nor were asked for again.
with old as materialized (
  select contact, kind, source from contact_lookups
   where fetched_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
     and expires_at < coalesce(%(now)s::timestamptz, now())
   limit %(batch)s for update skip locked
)
delete from contact_lookups l using old
 where (l.contact, l.kind, l.source) = (old.contact, old.kind, old.source);

-- name: age_people
-- Records that are neither fresh nor belong to a lead any more.
with old as materialized (
  select cpf from people p
   where fetched_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
     and expires_at < coalesce(%(now)s::timestamptz, now())
     and not exists (select from lead_people l where l.cpf = p.cpf)
   order by fetched_at limit %(batch)s for update skip locked
)
delete from people p using old where p.cpf = old.cpf;

-- name: age_events
-- Retention, RETENTION_METADATA after an event was settled.
with old as materialized (
  select id from webhook_events
   where status in ('completed', 'failed')
     and processed_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
   order by processed_at limit %(batch)s for update skip locked
)
delete from webhook_events e using old where e.id = old.id;

-- name: age_attempts
with old as materialized (
  select event_id, lease_token from event_attempts
   where finished_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
   order by finished_at limit %(batch)s for update skip locked
)
delete from event_attempts a using old where (a.event_id, a.lease_token) = (old.event_id, old.lease_token);

-- name: age_outbox
with old as materialized (
  select id from lead_messages where created_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
   limit %(batch)s for update skip locked
)
delete from lead_messages m using old where m.id = old.id;

-- name: age_reject_rows
with old as materialized (
  select id from rejected_deliveries
   where received_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
   order by received_at limit %(batch)s for update skip locked
)
delete from rejected_deliveries r using old where r.id = old.id;
