-- What happens to one lead: its facts, the remembered answers, the outbox.
--
-- Two kinds of statements. Transitions carry the fence (event, lease token) and change nothing for a poller
-- that lost its lease. Facts carry none: that an answer was paid for, or that C2S took a message, stays true
-- whoever found out.

-- name: merge_lead
-- Facts of a lead: what an event says is merged into what we knew, the newer event winning field by field and
-- an absent field changing nothing. Answers the merged contact. No row: the event was taken away, or its lead
-- was erased; the share lock puts the two in order, so that nothing of an erased lead is written after its
-- erasure.
with event as materialized (
  select e.ordered_at from webhook_events e
   where e.id = %(event_id)s and e.lease_token = %(lease_token)s
     and not exists (select from erased_leads x where x.lead_id = e.lead_id)
     for share of e
)
insert into leads as known (lead_id, name, phone, email, closed, seller_id, seller_name, facts_updated_at)
select %(lead_id)s, %(name)s, %(phone)s, %(email)s, %(closed)s, %(seller_id)s, %(seller_name)s, ordered_at
  from event
on conflict (lead_id) do update
   set name = case when excluded.facts_updated_at >= known.facts_updated_at
                     then coalesce(excluded.name, known.name)
                   else coalesce(known.name, excluded.name) end,
       phone = case when excluded.facts_updated_at >= known.facts_updated_at
                     then coalesce(excluded.phone, known.phone)
                   else coalesce(known.phone, excluded.phone) end,
       email = case when excluded.facts_updated_at >= known.facts_updated_at
                     then coalesce(excluded.email, known.email)
                   else coalesce(known.email, excluded.email) end,
       closed = case when excluded.facts_updated_at >= known.facts_updated_at then excluded.closed
                     else known.closed end,
       seller_id = case when excluded.facts_updated_at >= known.facts_updated_at
                          then coalesce(excluded.seller_id, known.seller_id)
                        else coalesce(known.seller_id, excluded.seller_id) end,
       seller_name = case when excluded.facts_updated_at >= known.facts_updated_at
                          then coalesce(excluded.seller_name, known.seller_name)
                        else coalesce(known.seller_name, excluded.seller_name) end,
       facts_updated_at = greatest(known.facts_updated_at, excluded.facts_updated_at),
       last_seen_at = clock_timestamp()
returning name, phone, email;

-- name: situation
-- What decides whether there is anything to do: is there a newer event of the lead (ordered_at decides;
-- updated_at, which is never below it, only lets the index find it), what contact was last told, and is a
-- message of this very event still unclear (then it must be cleared up before the event may be skipped).
select exists (select 1 from webhook_events n join webhook_events e on e.id = %(event_id)s
                where n.lead_id = %(lead_id)s and n.updated_at > e.ordered_at
                  and (n.ordered_at, n.updated_at) > (e.ordered_at, e.updated_at)
                  and n.status <> 'failed') as newer_exists,
       (select p.fingerprint
          from (select fingerprint, ordered_at, updated_at from webhook_events
                 where lead_id = %(lead_id)s and id <> %(event_id)s and status = 'completed'
                   and outcome in ('enriched', 'partial')
                 order by updated_at desc limit 20) p
         order by p.ordered_at desc, p.updated_at desc limit 1) as told_fingerprint,
       exists (select from lead_messages m
                where m.event_id = %(event_id)s and m.status = 'sending') as message_unclear;

-- name: told
-- What the lead's seller was told, oldest first: in the order in which it was sent, whenever that was proven.
-- A lead that changes for ever keeps its latest hundred in view.
select content_key, ref, contacts
  from (select content_key, ref, contacts, sending_at, id
          from lead_messages
         where lead_id = %(lead_id)s and status = 'sent'
         order by sending_at desc, id desc limit 100) latest
 order by sending_at, id;

-- name: receive_own_messages
-- A payload that shows our refs is a receipt, free of charge.
update lead_messages
   set status = 'sent', sent_at = clock_timestamp(), proof = 'webhook'
 where lead_id = %(lead_id)s and ref = any(%(refs)s::text[]) and status = 'sending'
returning id;

-- name: unclear_messages
-- Messages of this event that may have been sent and say something else than it would say now: the lead has
-- changed meanwhile.
select id, status, body, ref, sends, looks, sending_at,
       greatest(sending_at + %(settle_time)s::interval - clock_timestamp(), interval '0') as unsettled
  from lead_messages
 where event_id = %(event_id)s and content_key is distinct from %(content_key)s::text and status = 'sending'
 order by sending_at;

-- name: withdraw_unsent
-- An event takes back what it never sent and has nothing to say for any more: all of it when it is skipped (a
-- newer event tells it better), else what differs from the message that it has now. Not sent is also what two
-- looks after the settle time did not find.
delete from lead_messages m
 using webhook_events e
 where m.event_id = %(event_id)s and m.content_key is distinct from %(kept)s::text
   and (m.status = 'pending'
        or (m.status = 'sending' and m.looks >= 2
            and m.sending_at < clock_timestamp() - %(settle_time)s::interval))
   and e.id = %(event_id)s and e.lease_token = %(lease_token)s;

-- name: recall_lookup
-- A source's remembered answer for a contact; no row when there is none or it is no longer fresh.
select candidates, fetched_at from contact_lookups
 where contact = %(contact)s and kind = %(kind)s and source = %(source)s and expires_at > clock_timestamp();

-- name: keep_lookup
-- Remembers a source's answer and ends the question. An older answer never replaces a newer one: a poller
-- that was stopped between its question and this line may come minutes late. Nothing is kept of a lead that
-- was erased meanwhile.
with event as materialized (
  select outcome from webhook_events where id = %(event_id)s for share
), answered as (
  delete from answers_under_way where what = %(what)s and event_id = %(event_id)s
)
insert into contact_lookups as known (source, kind, contact, candidates, fetched_at, expires_at)
select %(source)s, %(kind)s, %(contact)s, %(candidates)s::jsonb,
       %(asked_at)s::timestamptz, %(asked_at)s::timestamptz + %(freshness)s::interval
 where not exists (select from event where outcome = 'erased')
on conflict (contact, kind, source) do update
   set candidates = excluded.candidates, fetched_at = excluded.fetched_at, expires_at = excluded.expires_at
 where known.fetched_at <= excluded.fetched_at;

-- name: ask_first
-- Takes the right to ask a paid question. A row: ask; it holds the time, which dates the answer. None:
-- another event is asking, and its lease is alive.
insert into answers_under_way as u (what, event_id, lease_token)
values (%(what)s, %(event_id)s, %(lease_token)s)
on conflict (what) do update set event_id = excluded.event_id, lease_token = excluded.lease_token
 where (u.event_id = excluded.event_id and u.lease_token <= excluded.lease_token)
    or not exists (select 1 from webhook_events e
                    where e.id = u.event_id and e.lease_token = u.lease_token
                      and e.lease_expires_at > clock_timestamp())
returning clock_timestamp();

-- name: give_up_asking
-- The question got no answer; whoever waits may ask now.
delete from answers_under_way
 where what = %(what)s and event_id = %(event_id)s and lease_token = %(lease_token)s;

-- name: hold_event
-- First statement of the transaction that stores an event's result: a row when the event is still ours. The
-- share lock makes a reset by hand, or a reclaim, wait for the few milliseconds until COMMIT.
select 1 from webhook_events
 where id = %(event_id)s and lease_token = %(lease_token)s and status = 'processing' for share;

-- name: link_person
-- Who was found for this lead, and by which contact.
insert into lead_people (lead_id, cpf, found_by, event_id)
values (%(lead_id)s, %(cpf)s, %(found_by)s, %(event_id)s)
on conflict (lead_id, cpf) do update
   set found_by = excluded.found_by, event_id = excluded.event_id, seen_at = now();

-- name: unlink_others
-- A changed contact may lead to other people; the lead keeps those that its present contact leads to.
delete from lead_people where lead_id = %(lead_id)s and cpf <> all(%(cpfs)s::text[]);

-- name: put_message
-- Into the outbox, once for each content: the unique key is what keeps a second copy from ever existing. A
-- text that retention has emptied is written anew, so that an event which is reprocessed later has something
-- to send.
insert into lead_messages (event_id, lead_id, content_key, body, ref, contacts)
values (%(event_id)s, %(lead_id)s, %(content_key)s, %(body)s, %(ref)s, %(contacts)s::text[])
on conflict (lead_id, content_key) do update
   set event_id = excluded.event_id,
       body = case when lead_messages.body = '' then excluded.body else lead_messages.body end
 where lead_messages.status <> 'sent';

-- name: message
-- One message of the outbox, and how long C2S may still take to apply its last send.
select id, status, body, ref, sends, looks, sending_at,
       greatest(sending_at + %(settle_time)s::interval - clock_timestamp(), interval '0') as unsettled
  from lead_messages where lead_id = %(lead_id)s and content_key = %(content_key)s;

-- name: permit_send
-- The right to send, committed before the first byte leaves. Only while the lease outlasts the send's total
-- time limit, and only from pending, or from an unclear send that two looks after its settle time did not
-- find. FOR SHARE puts it in order with a reclaim and with a reset by hand. The answer, sending_at, is the
-- send's name.
with event as (
  select 1 from webhook_events
   where id = %(event_id)s and lease_token = %(lease_token)s
     and lease_expires_at > clock_timestamp() + %(time_limit)s::interval
     for share
)
update lead_messages m
   set status = 'sending', sending_at = clock_timestamp(), sends = m.sends + 1, looks = 0
  from event
 where m.id = %(message_id)s
   and (m.status = 'pending'
        or (m.status = 'sending' and m.looks >= 2 and m.sends < %(max_sends)s
            and m.sending_at < clock_timestamp() - %(settle_time)s::interval))
returning m.sending_at;

-- name: not_sent
-- A clear no: nothing of this send reached C2S, so it does not count. Names the send: it cannot undo a later
-- one.
update lead_messages set status = 'pending', sends = sends - 1
 where id = %(message_id)s and sending_at = %(sending_at)s and status = 'sending';

-- name: record_look
-- A look after the settle time that did not find the message. The answer: how many there were since this
-- send.
update lead_messages set looks = looks + 1
 where id = %(message_id)s and sending_at = %(sending_at)s and status = 'sending'
   and sending_at < clock_timestamp() - %(settle_time)s::interval
returning looks;

-- name: message_sent
-- Facts, not fenced: C2S has these messages. Runs alone or as a part of `settle`.
update lead_messages m
   set status = 'sent', sent_at = clock_timestamp(), proof = f.proof,
       c2s_message_id = coalesce(f.c2s_message_id, m.c2s_message_id)
  from json_to_recordset(%(facts)s::json) as f(message_id uuid, proof text, c2s_message_id text)
 where m.id = f.message_id and m.status <> 'sent';
