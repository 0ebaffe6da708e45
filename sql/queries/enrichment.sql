-- What happens to one lead: its facts and the outbox. `people.sql` has the remembered answers.
--
-- Two kinds of statements. Transitions carry the fence (event, lease token) and change nothing for a poller
-- that lost its lease. Facts carry none: that an answer was paid for, or that C2S took a message, stays true
-- whoever found out.

-- name: begin_work
-- What an event says of its lead is merged into what we knew, the newer event winning field by field and an
-- absent field changing nothing; a payload that shows our refs is a receipt, free of charge. Answers the
-- merged contact and what decides whether there is anything to do: is there a newer event of the lead
-- (ordered_at decides; updated_at, which is never below it, only lets the index find it), does one wait while
-- a person asked for this one again (what it says is not merged yet), what contact was told last, and what
-- the seller was told (oldest first, in the order in which it was sent, whenever that was proven; a lead that
-- changes for ever keeps its latest hundred in view). `unsent`: a message of this very event waits or may
-- have been sent; it is withdrawn or cleared up before the event ends without it. `suppressed`: one of the
-- hashes, which are those of the event's own contacts, must not be processed. `restored`: the lead may show
-- messages of ours that the outbox has forgotten.
-- It waits for no disk: whatever rests on it commits after it in the same log, and an event that is not
-- settled begins again.
-- The fence: no row when the event was taken away or its lead was erased; the share lock puts the two in
-- order, so that nothing of an erased lead is written after its erasure.
with event as materialized (
  select e.id, e.lead_id, e.updated_at, e.ordered_at, e.reprocess from webhook_events e
   where e.id = %(event_id)s and e.lease_token = %(lease_token)s
     and not exists (select from erased_leads x where x.lead_id = e.lead_id)
     for share of e
), merged as (
  insert into leads as known (lead_id, name, phone, email, closed, seller_id, seller_name, facts_updated_at)
  select lead_id, %(name)s, %(phone)s, %(email)s, %(closed)s, %(seller_id)s, %(seller_name)s, ordered_at
    from event
  on conflict (lead_id) do update
     set (name, phone, email, seller_id, seller_name, closed) =
           (select case when newer then coalesce(excluded.name, known.name)
                        else coalesce(known.name, excluded.name) end,
                   case when newer then coalesce(excluded.phone, known.phone)
                        else coalesce(known.phone, excluded.phone) end,
                   case when newer then coalesce(excluded.email, known.email)
                        else coalesce(known.email, excluded.email) end,
                   case when newer then coalesce(excluded.seller_id, known.seller_id)
                        else coalesce(known.seller_id, excluded.seller_id) end,
                   case when newer then coalesce(excluded.seller_name, known.seller_name)
                        else coalesce(known.seller_name, excluded.seller_name) end,
                   case when newer then excluded.closed else known.closed end
              from (select excluded.facts_updated_at >= known.facts_updated_at as newer) n),
         facts_updated_at = greatest(known.facts_updated_at, excluded.facts_updated_at),
         last_seen_at = clock_timestamp()
  returning name, phone, email
), received as (
  update lead_messages m
     set status = 'sent', sent_at = clock_timestamp(), proof = 'webhook',
         sending_at = sent_in_order(m, %(refs)s::text[])
    from event e
   where m.lead_id = e.lead_id and m.ref = any(%(refs)s::text[]) and m.status = 'sending'
)
select k.name, k.phone, k.email,
       exists (select from webhook_events n
                where n.lead_id = e.lead_id and n.updated_at > e.ordered_at
                  and (n.ordered_at, n.updated_at) > (e.ordered_at, e.updated_at)
                  and n.status <> 'failed') as newer_exists,
       e.reprocess and exists (select from webhook_events n
                                where n.lead_id = e.lead_id and n.updated_at > e.ordered_at
                                  and (n.ordered_at, n.updated_at) > (e.ordered_at, e.updated_at)
                                  and n.status in ('received', 'processing')) as newer_waits,
       (select p.fingerprint
          from (select fingerprint, ordered_at, updated_at from webhook_events
                 where lead_id = e.lead_id and id <> e.id and status = 'completed'
                   and outcome in ('enriched', 'partial')
                 order by updated_at desc limit 20) p
         order by p.ordered_at desc, p.updated_at desc limit 1) as told_fingerprint,
       (select coalesce(json_agg(json_build_array(t.content_key, t.ref, t.contacts)
                                 order by t.sending_at, t.id), '[]')
          from (select content_key, ref, contacts, id,
                       case when status = 'sent' then sending_at
                            else sent_in_order(m, %(refs)s::text[]) end as sending_at
                  from lead_messages m
                 where lead_id = e.lead_id
                   and (status = 'sent' or (status = 'sending' and ref = any(%(refs)s::text[])))
                 order by sending_at desc, id desc limit 100) t) as told,
       exists (select from lead_messages m
                where m.event_id = e.id
                  and (m.status = 'pending'
                       or (m.status = 'sending' and m.ref <> all(%(refs)s::text[])))) as unsent,
       exists (select from suppressions where hash = any(%(hashes)s::text[])) as suppressed,
       exists (select from restores where why <> 'first_start') as restored,
       d.identity, d.log_end,
       (select r.identity from restores r order by r.id desc limit 1) as known_identity
  from event e, merged k, database_state() d, set_config('synchronous_commit', 'off', true);

-- name: unclear_messages
-- Messages of this event that may have been sent and say something else than it would say now: the lead has
-- changed meanwhile.
select id, status, body, ref, sends, looks, sending_at,
       greatest(sending_at + %(settle_time)s::interval - clock_timestamp(), interval '0') as unsettled,
       content_key, false as to_prove
  from lead_messages
 where event_id = %(event_id)s and content_key is distinct from %(content_key)s::text and status = 'sending'
 order by sending_at;

-- name: withdraw_unsent
-- An event that has nothing to say takes back what it never sent: a newer event tells it better, or nobody
-- was found. Not sent is also what two looks after the settle time did not find. Answers what stays: it may
-- have been sent, perhaps because a restore was noticed while this statement waited for the row.
with event as materialized (
  select id from webhook_events where id = %(event_id)s and lease_token = %(lease_token)s
), withdrawn as (
  delete from lead_messages m
   using event e
   where m.event_id = e.id
     and (m.status = 'pending'
          or (m.status = 'sending' and m.looks >= 2
              and m.sending_at < clock_timestamp() - %(settle_time)s::interval))
  returning m.id
)
select m.id
  from lead_messages m join event e on m.event_id = e.id
 where m.status <> 'sent' and m.id not in (select id from withdrawn);

-- name: store_result
-- Who was found, and the message into the outbox; answers the message's row. The fence: no row when the
-- event is not ours. The share lock makes a reset by hand, or a reclaim, wait for the milliseconds until
-- COMMIT. The lead keeps the people that its present contact leads to. What the event never sent and says
-- otherwise now is withdrawn. The message is put once for each content: the unique key is what keeps a
-- second copy from ever existing. A text that retention has emptied is written again, so that an event
-- which is reprocessed later has something to send.
-- After a restore the message may have been sent already, unless the lead was created after it (the margin is
-- for C2S's clock): then it begins as an unclear send, to be looked up once the settle time is over.
with event as materialized (
  select id, lead_id from webhook_events where id = %(event_id)s and lease_token = %(lease_token)s for share
), linked as (
  insert into lead_people (lead_id, cpf, found_by, event_id)
  select e.lead_id, p.cpf, p.found_by, e.id
    from event e, unnest(%(cpfs)s::text[], %(found_by)s::text[]) as p (cpf, found_by)
  on conflict (lead_id, cpf) do update
     set found_by = excluded.found_by, event_id = excluded.event_id, seen_at = clock_timestamp()
), unlinked as (
  delete from lead_people l using event e where l.lead_id = e.lead_id and l.cpf <> all(%(cpfs)s::text[])
), withdrawn as (
  delete from lead_messages m
   using event e
   where m.event_id = e.id and m.content_key <> %(content_key)s
     and (m.status = 'pending'
          or (m.status = 'sending' and m.looks >= 2
              and m.sending_at < clock_timestamp() - %(settle_time)s::interval))
), restore as (
  select max(r.noticed_at) as noticed_at
    from restores r, event e
   where r.why <> 'first_start'
     and not exists (select from webhook_events c
                      where c.lead_id = e.lead_id and c.hook_action = 'on_create_lead'
                        and c.ordered_at > r.noticed_at + interval '10 minutes')
), put as (
  insert into lead_messages as m
         (event_id, lead_id, content_key, body, ref, contacts, status, sending_at, looks)
  select e.id, e.lead_id, %(content_key)s, %(body)s, %(ref)s, %(contacts)s::text[],
         case when r.noticed_at is null then 'pending' else 'sending' end, r.noticed_at,
         case when r.noticed_at < clock_timestamp() - %(settle_time)s::interval then 1 else 0 end
    from event e, restore r
  on conflict (lead_id, content_key) do update
     set event_id = excluded.event_id, body = case when m.body = '' then excluded.body else m.body end
   where m.status <> 'sent'
  returning m.*
), found as (
  select * from put
  union all
  select m.* from lead_messages m join event e on m.lead_id = e.lead_id
   where m.content_key = %(content_key)s and not exists (select from put)
)
select id, status, body, ref, sends, looks, sending_at,
       greatest(sending_at + %(settle_time)s::interval - clock_timestamp(), interval '0') as unsettled,
       content_key,
       not exists (select from read_backs b
                    where b.account = %(account)s
                      and (b.proven_at is not null or b.tried_at > clock_timestamp() - interval '10 minutes'))
         as to_prove
  from found;

-- name: permit_send
-- The right to send, committed before the first byte leaves. Only while the lease outlasts the send's total
-- time limit, and only from pending, or from an unclear send that two looks after its settle time did not
-- find. FOR SHARE puts it in order with a reclaim and with a reset by hand. Whoever had the right before may
-- be frozen, with a clock that stands still: the end of its pulse is what it sees when it wakes up. The
-- answer, sending_at, is the send's name.
with event as materialized (
  select 1 from webhook_events
   where id = %(event_id)s and lease_token = %(lease_token)s
     and lease_expires_at > clock_timestamp() + %(time_limit)s::interval
     for share
), permitted as (
  update lead_messages m
     set status = 'sending', sending_at = clock_timestamp(), sends = m.sends + 1, looks = 0,
         sender = %(worker)s
    from event, (select sender from lead_messages where id = %(message_id)s) before
   where m.id = %(message_id)s
     and (m.status = 'pending'
          or (m.status = 'sending' and m.looks >= 2 and m.sends < %(max_sends)s
              and m.sending_at < clock_timestamp() - %(settle_time)s::interval))
  returning m.sending_at, m.sends, before.sender
)
select p.sending_at,
       case when p.sends > 1 and p.sender <> %(worker)s then
         (select count(pg_terminate_backend(a.pid)) from pg_stat_activity a
           where a.datname = current_database() and a.usename = current_user
             and a.application_name = 'c2s-enrich pulse ' || p.sender)
       end as pulses_ended
  from permitted p;

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
returning looks,
          exists (select from read_backs b
                   where b.account = %(account)s and b.proven_at is not null) as proven;

-- name: record_read_back
-- Whether a message that C2S has is found on its lead. Once proven, it stays.
insert into read_backs as b (account, proven_at)
values (%(account)s, case when %(found)s::boolean then clock_timestamp() end)
on conflict (account) do update
   set tried_at = clock_timestamp(), proven_at = coalesce(b.proven_at, excluded.proven_at);

-- name: message_sent
-- Facts, not fenced: C2S has these messages. Runs alone or as a part of `settle`. One that was found on its
-- lead takes the place among the others that it has there: a restore may have forgotten when it was sent.
update lead_messages m
   set status = 'sent', sent_at = clock_timestamp(), proof = f.proof,
       c2s_message_id = coalesce(f.c2s_message_id, m.c2s_message_id),
       sending_at = case when f.proof = 'read_back' then sent_in_order(m, f.on_the_lead) else m.sending_at end
  from json_to_recordset(%(facts)s::json)
         as f(message_id uuid, proof text, c2s_message_id text, on_the_lead text[])
 where m.id = f.message_id and m.status <> 'sent';

-- name: suppressed
-- Whether one of these contacts or people must not be processed.
select exists (select from suppressions where hash = any(%(hashes)s::text[]));
