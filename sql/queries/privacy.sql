-- Forgetting: one person at their wish (erase), everybody in time (retention).
--
-- Erasing is one transaction. Its first statements put the leads on the list of erased ones and lock their
-- events: from there on no poller can write anything of them, because what a poller writes takes a share lock
-- on its event and looks at this. Retention works in small batches that skip locked rows, so it never waits
-- for anybody and nobody waits for it.

-- name: leads_of_person
-- Leads that are linked to a CPF, or ask about it just now.
select lead_id from lead_people where cpf = %(cpf)s
union
select e.lead_id
  from answers_under_way u join webhook_events e on e.id = u.event_id
 where u.what = 'work_api cpf ' || %(cpf)s;

-- name: contacts_of_person
-- Contacts that lead to a CPF, as the sources and its record say; shared: also to another one.
with theirs as (
  select contact from contact_lookups
   where candidates @> jsonb_build_array(jsonb_build_object('cpf', %(cpf)s::text))
  union
  select phone from person_phones where cpf = %(cpf)s
  union
  select email from person_emails where cpf = %(cpf)s
)
select contact,
       exists (select from contact_lookups l, jsonb_to_recordset(l.candidates) as c (cpf text)
                where l.contact = theirs.contact and c.cpf <> %(cpf)s)
       or exists (select from person_phones p where p.phone = theirs.contact and p.cpf <> %(cpf)s)
       or exists (select from person_emails p where p.email = theirs.contact and p.cpf <> %(cpf)s) as shared
  from theirs
 order by contact;

-- name: texts_naming
-- Whatever holds the letters or digits that are searched for, at rest or under way; the program judges which
-- of it names the person. Reads every payload: an erasure is rare, and an index would cost every webhook.
select lead_id, payload_raw::text as named
  from webhook_events
 where payload_removed_at is null and names_any(payload_raw::text, %(needles)s::text[])
union all
select lead_id, concat_ws(' ', name, phone, email)
  from leads
 where names_any(concat_ws(' ', name, phone, email), %(needles)s::text[])
union all
select lead_id, body || ' ' || array_to_string(contacts, ' ')
  from lead_messages
 where names_any(body || ' ' || array_to_string(contacts, ' '), %(needles)s::text[]);

-- name: forget_reasons
-- What operators wrote about their actions is free text.
update operator_actions
   set reason = null, filter = '{}'
 where names_any(concat_ws(' ', reason, filter::text), %(needles)s::text[]);

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
       hook_action = known_hook_action(hook_action), error_kind = null, error_message = null,
       outcome_detail = null, fingerprint = null, losses = 0, reprocess = false
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
    or what = any(select 'work_api cpf ' || cpf from unnest(%(cpfs)s::text[]) as gone (cpf))
    or split_part(what, ' ', 3) = any(%(followed)s::text[]);

-- name: delete_phones
delete from person_phones where cpf = any(%(cpfs)s::text[]);

-- name: delete_emails
delete from person_emails where cpf = any(%(cpfs)s::text[]);

-- name: delete_addresses
delete from person_addresses where cpf = any(%(cpfs)s::text[]);

-- name: delete_companies
delete from person_companies where cpf = any(%(cpfs)s::text[]);

-- name: delete_people
delete from people where cpf = any(%(cpfs)s::text[]);

-- name: rejects
-- Deliveries that could not be read, as they came.
select id, lead_id, raw from rejected_deliveries where raw <> ''::bytea;

-- name: delete_rejects
delete from rejected_deliveries where id = any(%(reject_ids)s::uuid[]);

-- name: write_receipt
insert into erasures (asked_by, counts) values (%(asked_by)s, %(counts)s::jsonb) returning id, erased_at;

-- name: known_subjects
-- Everybody who could be erased again after a restore: leads and people.
select 'lead', lead_id from webhook_events
union
select 'lead', lead_id from leads
union
select 'cpf', cpf from people
union
select 'cpf', cpf from lead_people
union
select 'cpf', c.cpf from contact_lookups l, jsonb_to_recordset(l.candidates) as c (cpf text);

-- name: suppress
insert into suppressions (hash, kind) values (%(hash)s, %(kind)s) on conflict do nothing;

-- name: unsuppress
delete from suppressions where hash = any(%(hashes)s::text[]);

-- name: suppressions
select hash, kind, created_at from suppressions order by created_at, hash;

-- name: sharing
-- How many people a contact leads to, as far as is known.
select count(distinct cpf)
  from (select c.cpf
          from contact_lookups l, jsonb_to_recordset(l.candidates) as c (cpf text)
         where l.contact = %(contact)s
        union all
        select cpf from person_phones where phone = %(contact)s
        union all
        select cpf from person_emails where email = %(contact)s) known;

-- name: export_person
-- What is held on a CPF, table by table, for the person: messages that speak of somebody else too stay out.
select jsonb_build_object(
  'person', (select to_jsonb(p) from people p where p.cpf = %(cpf)s),
  'phones', (select coalesce(jsonb_agg(to_jsonb(p) order by p.rank), '[]')
               from person_phones p where p.cpf = %(cpf)s),
  'emails', (select coalesce(jsonb_agg(to_jsonb(e) order by e.rank), '[]')
               from person_emails e where e.cpf = %(cpf)s),
  'addresses', (select coalesce(jsonb_agg(to_jsonb(a) order by a.rank), '[]')
                  from person_addresses a where a.cpf = %(cpf)s),
  'companies', (select coalesce(jsonb_agg(to_jsonb(c) order by c.rank), '[]')
                  from person_companies c where c.cpf = %(cpf)s),
  'contacts_that_lead_to_them', (
    select coalesce(jsonb_agg(jsonb_build_object('source', l.source, 'contact', l.contact,
                                                 'fetched_at', l.fetched_at) order by l.contact), '[]')
      from contact_lookups l
     where l.candidates @> jsonb_build_array(jsonb_build_object('cpf', %(cpf)s::text))),
  'found_for', (select coalesce(jsonb_agg(to_jsonb(f) order by f.lead_id), '[]')
                  from lead_people f where f.cpf = %(cpf)s),
  'leads', (select coalesce(jsonb_agg(to_jsonb(l) - 'seller_id' - 'seller_name' order by l.lead_id), '[]')
              from leads l where l.lead_id = any(%(lead_ids)s::text[])),
  'webhooks', (select coalesce(jsonb_agg(jsonb_build_object(
                        'lead_id', e.lead_id, 'received_at', e.received_at, 'outcome', e.outcome,
                        'payload', e.payload_raw) order by e.received_at), '[]')
                 from webhook_events e where e.lead_id = any(%(lead_ids)s::text[])),
  'messages', (select coalesce(jsonb_agg(jsonb_build_object(
                        'lead_id', m.lead_id, 'sent_at', m.sent_at, 'body', m.body)
                        order by m.created_at), '[]')
                 from lead_messages m
                where m.lead_id = any(%(lead_ids)s::text[])
                  and not exists (select from lead_people o
                                   where o.lead_id = m.lead_id and o.cpf <> %(cpf)s)));

-- name: age_payloads
-- Retention, RETENTION_PAYLOAD after an event was settled.
with old as materialized (
  select id from webhook_events
   where status in ('completed', 'failed') and payload_removed_at is null
     and processed_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
   order by processed_at limit %(batch)s for update skip locked
)
update webhook_events e
   set payload_raw = '{}', hook_action = known_hook_action(e.hook_action), payload_removed_at = now()
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
select id from withdrawn union all select id from emptied;

-- name: age_rejects
with old as materialized (
  select id from rejected_deliveries
   where raw <> ''::bytea and received_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
   order by received_at limit %(batch)s for update skip locked
)
update rejected_deliveries r set raw = '', detail = null from old where r.id = old.id;

-- name: age_leads
-- Leads that no event has mentioned for that long, with their links to people.
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

-- name: age_paid
-- What was paid, by day.
with old as materialized (
  select ctid from paid_calls where day < (coalesce(%(now)s::timestamptz, now()) - %(age)s::interval)::date
   limit %(batch)s for update skip locked
)
delete from paid_calls p using old where p.ctid = old.ctid;

-- name: age_reject_rows
with old as materialized (
  select id from rejected_deliveries
   where received_at < coalesce(%(now)s::timestamptz, now()) - %(age)s::interval
   order by received_at limit %(batch)s for update skip locked
)
delete from rejected_deliveries r using old where r.id = old.id;
