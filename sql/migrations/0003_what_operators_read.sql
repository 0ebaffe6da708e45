-- What operators read: views as stable as an API (docs/sql.md has the questions). They show no payload, and a
-- CPF only masked. Each reads a bounded number of rows, however many events are completed.

create view v_events as
select e.id as event_id, e.lead_id, e.updated_at, e.hook_action, e.status, e.outcome, e.attempts,
       e.max_attempts, e.received_at, e.available_at, e.processed_at, e.waiting_for, e.waiting_reason,
       e.error_kind,
       case when split_part(e.error_message, ': ', 1) in ('c2s', 'diretrix', 'work_api')
            then split_part(e.error_message, ': ', 1) end as error_upstream,
       case when e.error_kind is not null then e.outcome_detail ->> 'step' end as error_step,
       e.error_message,
       e.error_group, e.outcome_detail, e.claimed_by, e.claimed_at, e.lease_expires_at, e.suspect,
       e.fingerprint
  from webhook_events e;
comment on view v_events is 'Every event without its payload.';

-- The one filter of the command line, the admin API and the console. Absent words are not applied; a caller
-- checks words and values (ops/filters.py). Inlined, so that the given words alone decide about the plan.
create function matching_events(filter jsonb) returns setof v_events language sql stable as $$
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
comment on function matching_events is
  'Events by words: select * from matching_events(''{"status": "failed", "since": "-2 hours"}'').';

-- What one batch of a plan looks at: behind the mark of the last batch, and nothing that came after the plan.
create function next_of_plan(
  filter jsonb, planned_at timestamptz, after_at timestamptz, after_id uuid, batch integer)
  returns table (event_id uuid, lead_id text, status text, received_at timestamptz) language sql stable as $$
  select e.event_id, e.lead_id, e.status, e.received_at from matching_events(filter) e
   where (e.received_at, e.event_id) > (after_at, after_id) and e.received_at <= planned_at
   order by e.received_at, e.event_id limit batch;
$$;
comment on function next_of_plan is 'The events that the next batch of a bulk action looks at.';

create view v_queue as
select status, waiting_for, waiting_reason, count(*) as events,
       count(*) filter (where available_at <= now() and status = 'received') as due,
       now() - min(available_at) filter (where available_at <= now() and status = 'received')
         as oldest_due_for,
       min(available_at) filter (where available_at > now() and status = 'received') as next_due_at
  from ((select status, waiting_for, waiting_reason, available_at from webhook_events
          where status = 'received' and not suspect order by available_at limit 10000)
        union all
        (select status, waiting_for, waiting_reason, available_at from webhook_events
          where status = 'received' and suspect order by available_at limit 10000)
        union all
        select status, waiting_for, waiting_reason, available_at from webhook_events
         where status = 'processing'
        union all
        (select status, null, null, available_at from webhook_events
          where status = 'failed' order by received_at desc limit 10000)) e
 group by status, waiting_for, waiting_reason;
comment on view v_queue is
  'What waits, for whom and why, what is worked on and what failed; of each kind at most 10,000 are counted.';

create view v_in_flight as
select id as event_id, lead_id, claimed_by, attempts, claimed_at,
       lease_expires_at - now() as lease_left, deadline_at - now() as deadline_left,
       lease_expires_at < now() - interval '1 minute' as stuck
  from webhook_events
 where status = 'processing';
comment on view v_in_flight is
  'What is worked on now. stuck: its lease ended a minute ago and nobody took it back, so no poller runs.';

create view v_failures as
select f.error_group, e.error_kind, e.error_upstream, e.error_step, f.events, f.leads, f.first_at,
       f.newest_at, e.error_message as newest_message, e.event_id as newest_event, e.lead_id as newest_lead,
       m.muted_since
  from (select error_group, count(*) as events, count(distinct lead_id) as leads,
               min(received_at) as first_at, max(received_at) as newest_at,
               (array_agg(event_id order by received_at desc))[1] as newest
          from (select * from v_events where status = 'failed' order by received_at desc limit 10000) newest
         group by error_group) f
  join v_events e on e.event_id = f.newest
  left join v_muted m on m.error_group = f.error_group;
comment on view v_failures is
  'The newest 10,000 failed events in groups of one error each, with its newest case.';

create view v_messages_open as
select m.id as message_id, m.lead_id, m.ref, m.status, m.sends, m.looks,
       now() - coalesce(m.sending_at, m.created_at) as for_how_long,
       m.event_id, e.status as event_status, e.error_kind
  from lead_messages m
  left join webhook_events e on e.id = m.event_id
 where m.status <> 'sent';
comment on view v_messages_open is
  'Messages that are not proven to be on their lead. sending with a failed event: a person must look.';

create view v_messages_sent as
select m.sent_at, m.lead_id, l.seller_name, m.ref, m.proof, m.sends, m.id as message_id, m.event_id
  from lead_messages m
  left join leads l on l.lead_id = m.lead_id
 where m.status = 'sent';
comment on view v_messages_sent is 'The log of sent messages: when, to whom, proven how.';

create view v_lead_history as
select lead_id, received_at as at, 'event received' as what, coalesce(hook_action, '') as detail,
       id as event_id
  from webhook_events
union all
select e.lead_id, a.finished_at, 'attempt ' || a.attempt || ' ' || a.result,
       coalesce(a.outcome, a.error_message, a.error_kind, ''), a.event_id
  from event_attempts a
  join webhook_events e on e.id = a.event_id
union all
select lead_id, coalesce(sent_at, sending_at, created_at), 'message ' || status, 'ref ' || ref, event_id
  from lead_messages;
comment on view v_lead_history is 'All that happened to a lead. Ask it with where lead_id = … order by at.';

create view v_throughput as
select to_timestamp(floor(extract(epoch from processed_at) / 300) * 300) as five_minutes,
       count(*) filter (where status = 'completed') as completed,
       count(*) filter (where status = 'failed') as failed,
       percentile_cont(0.5) within group (order by extract(epoch from processed_at - received_at))
         as median_seconds,
       percentile_cont(0.95) within group (order by extract(epoch from processed_at - received_at))
         as p95_seconds
  from webhook_events
 where status in ('completed', 'failed') and processed_at > now() - interval '1 day'
 group by 1;
comment on view v_throughput is
  'The last day in steps of five minutes: how much was settled, and how long after it was received.';

create view v_pollers as
select name, started_at, beat_at, now() - beat_at as silent_for, in_flight, concurrency,
       beat_at > now() - interval '1 minute' as beating, version, metrics
  from pollers;
comment on view v_pollers is
  'Pollers by their last sign of life; one that is silent for an hour is forgotten.';

create view v_leads_by_seller as
select coalesce(l.seller_name, l.seller_id, '(no seller)') as seller, count(*) as leads,
       count(m.sent_at) as told, round(100.0 * count(m.sent_at) / count(*), 1) as told_percent,
       round((percentile_cont(0.5) within group
               (order by extract(epoch from m.sent_at - e.received_at)) / 60)::numeric, 1) as median_minutes
  from leads l
  join lateral (select received_at from webhook_events where lead_id = l.lead_id
                 order by updated_at limit 1) e on true
  left join lateral (select sent_at from lead_messages where lead_id = l.lead_id and status = 'sent'
                      order by sent_at limit 1) m on true
 where l.first_seen_at > now() - interval '30 days'
 group by 1;
comment on view v_leads_by_seller is
  'The last 30 days'' leads by seller: how many arrived, how many were told about, minutes to the first '
  'message.';

create view v_invalid_phones as
select l.lead_id, l.name, l.phone, e.skipped, l.seller_name, l.last_seen_at
  from leads l
  join lateral (select (select string_agg(word, ', ')
                          from jsonb_array_elements_text(outcome_detail -> 'skipped') word
                         where word like 'phone %') as skipped
                  from webhook_events where lead_id = l.lead_id and outcome_detail is not null
                 order by updated_at desc limit 1) e on e.skipped is not null;
comment on view v_invalid_phones is 'Leads with a phone that cannot be looked up, and why.';

create view v_found_share as
select e.outcome_detail ->> 'ddd' as ddd, answer ->> 'source' as source, answer ->> 'kind' as kind,
       count(*) as answers, count(*) filter (where (answer ->> 'found')::integer > 0) as found,
       count(*) filter (where (answer ->> 'found')::integer = 0) as not_found,
       round(100.0 * count(*) filter (where (answer ->> 'found')::integer > 0) / count(*), 1) as found_percent
  from webhook_events e
  cross join lateral jsonb_array_elements(e.outcome_detail -> 'answers') answer
 where e.received_at > now() - interval '30 days'
 group by 1, 2, 3;
comment on view v_found_share is 'How often a source knew somebody in the last 30 days, by DDD.';

-- Why an event stands where it stands: the first cause that matches, and the facts that it rests on. The
-- sentences are the command line's (c2s-enrich explain).
create view v_explain as
select e.event_id, e.lead_id,
       case
         when e.status = 'processing' then
           case when e.lease_expires_at < now() - interval '1 minute' then 'stuck' else 'running' end
         when e.status = 'received' and e.available_at <= now() then
           case when p.beating = 0 then 'no_poller'
                when b.busy_event is not null then 'lead_busy'
                when e.suspect then 'suspect_turn'
                else 'queued' end
         when e.status = 'received' then
           case when u.paused_until is not null and u.pause_reason like 'credential refused%'
                  or e.waiting_reason = 'credential' then 'credential_refused'
                when e.waiting_reason = 'paused' then 'upstream_paused'
                when e.waiting_reason = 'budget' then 'budget_spent'
                when e.waiting_reason = 'slot' then 'rate_limited'
                when e.waiting_reason = 'throttled' then 'throttled'
                when e.waiting_reason = 'read_back' then 'reading_back'
                when e.waiting_reason = 'database' then 'database_was_away'
                when e.error_kind is not null then 'backing_off'
                else 'scheduled' end
         when e.status = 'failed' then
           case when o.open_status = 'sending' then 'delivery_unclear'
                when e.error_message like '%gave up at the age limit' then 'too_old'
                when e.error_kind = 'upstream_refused' then 'refused'
                when e.error_kind = 'upstream_unreadable' then 'unreadable'
                when e.error_kind = 'upstream_unavailable' then 'too_old'
                else coalesce(e.error_kind, 'given_up') end
         -- What the pipeline itself names: suppressed, shadow.
         when e.outcome_detail ->> 'cause' is not null then e.outcome_detail ->> 'cause'
         when e.outcome in ('enriched', 'partial') then
           case when t.told_at is null then 'not_told'
                when t.told_at >= e.received_at then 'told' else 'told_before' end
         when e.outcome = 'unchanged' then
           case when e.outcome_detail ->> 'echo' = t.told_ref
                  and e.received_at < t.told_at + interval '1 hour'
                  then 'echo' else 'no_news' end
         when e.outcome = 'not_found' then 'nobody_known'
         when e.outcome = 'ignored' then 'closed'
         else coalesce(e.outcome, 'completed_by_hand')
       end as cause,
       e.status, e.outcome, e.hook_action, e.received_at, e.updated_at, e.available_at, e.processed_at,
       e.attempts, e.max_attempts, e.waiting_for, e.waiting_reason, e.error_kind, e.error_message,
       e.error_step, e.error_group, m.muted_since, coalesce(e.waiting_for, e.error_upstream) as upstream,
       e.claimed_by, e.claimed_at,
       e.lease_expires_at, u.paused_since, u.paused_until, u.pause_reason, u.failures, u.daily_budget,
       u.calls_today, u.min_interval_seconds, p.beating as pollers_beating, p.last_beat_at, b.busy_event,
       b.busy_since, n.newer_event, n.newer_at, n.newer_end, t.told_ref, t.told_at, t.told_proof, o.open_ref,
       o.open_message, o.open_status, o.restored_at, e.outcome_detail
  from v_events e
  left join v_muted m using (error_group)
  left join lateral (
    select paused_since, paused_until, reason as pause_reason, failures, daily_budget, calls_today,
           extract(epoch from min_interval)::float8 as min_interval_seconds
      from upstreams where name = coalesce(e.waiting_for, e.error_upstream)) u on true
  cross join lateral (
    select max(beat_at) as last_beat_at,
           count(*) filter (where beat_at > now() - interval '1 minute') as beating from pollers) p
  left join lateral (
    select id as busy_event, claimed_at as busy_since from webhook_events
     where lead_id = e.lead_id and status = 'processing' and id <> e.event_id) b on true
  left join lateral (
    select id as newer_event, received_at as newer_at, coalesce(outcome, status) as newer_end
      from webhook_events where lead_id = e.lead_id and updated_at > e.updated_at
     order by updated_at desc limit 1) n on true
  left join lateral (
    select ref as told_ref, sent_at as told_at, proof as told_proof from lead_messages
     where lead_id = e.lead_id and status = 'sent' order by sent_at desc limit 1) t on true
  left join lateral (
    select id as open_message, ref as open_ref, status as open_status,
           case when status = 'sending' and sends = 0 then sending_at end as restored_at
      from lead_messages
     where lead_id = e.lead_id and status <> 'sent'
     order by status = 'sending' desc, created_at desc limit 1) o on true;
comment on view v_explain is
  'Why an event stands where it stands: the cause as a stable code, and its facts. Ask for one lead or '
  'event.';

-- ---- words for every column -------------------------------------------------------------------------------
do $$
declare
  held record;
begin
  for held in
    select c.relname, a.attname, w.words
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
      left join (values
        ('event_id', 'Id of the event: webhook_events.id.'),
        ('newest_event', 'Id of the newest event of the group.'),
        ('lead_id', 'C2S''s id of the lead.'),
        ('newest_lead', 'C2S''s id of the newest event''s lead.'),
        ('updated_at', 'The payload''s updated_at: with the lead it is the delivery''s key.'),
        ('hook_action', 'C2S''s name of what happened, for example on_create_lead.'),
        ('status', 'received, processing, completed or failed; of a message: pending, sending or sent.'),
        ('event_status', 'The status of the event that wrote the message.'),
        ('outcome', 'How a completed event ended.'),
        ('outcome_detail', 'What the outcome or the error rests on; see webhook_events.'),
        ('attempts', 'Attempts that were spent.'),
        ('max_attempts', 'Attempts after which the event fails.'),
        ('received_at', 'When the webhook arrived.'),
        ('available_at', 'When a received event is due.'),
        ('processed_at', 'When the event was completed or failed.'),
        ('waiting_for', 'The upstream that a received event waits for.'),
        ('waiting_reason', 'Why a received event waits, as a code.'),
        ('error_kind', 'Kind of the error, as a code.'),
        ('error_upstream', 'The upstream that the error names.'),
        ('error_step', 'The step in which the attempt ended.'),
        ('error_message', 'The error as a sentence, without contacts and secrets.'),
        ('newest_message', 'The newest event''s error as a sentence.'),
        ('error_group', 'Fingerprint of the error without its ids and numbers: the filter --error.'),
        ('muted_since', 'Since when no alert counts this error; null where it is not muted.'),
        ('claimed_by', 'The poller that works on it.'),
        ('claimed_at', 'When the poller took it.'),
        ('lease_expires_at', 'When the lease ends unless the poller renews it.'),
        ('suspect', 'A poller died while working on it: it runs alone next time.'),
        ('fingerprint', 'Hash of the contacts that the event was about.'),
        ('events', 'How many events.'),
        ('due', 'How many of them are due.'),
        ('oldest_due_for', 'How long the oldest due one has been due.'),
        ('next_due_at', 'When the next one becomes due.'),
        ('lease_left', 'Time until the lease ends.'),
        ('deadline_left', 'Time until the attempt is ended, however alive its poller is.'),
        ('stuck', 'The lease ended over a minute ago: no poller runs.'),
        ('leads', 'How many leads.'),
        ('first_at', 'When the first event of the group arrived.'),
        ('newest_at', 'When the newest event of the group arrived.'),
        ('message_id', 'Id of the message: lead_messages.id.'),
        ('ref', 'The message''s last line and its external_id at C2S.'),
        ('sends', 'How often the message was given to the network.'),
        ('looks', 'Looks after the settle time that did not find it.'),
        ('for_how_long', 'Since it was sent, or written.'),
        ('sent_at', 'When the delivery was proven.'),
        ('proof', 'What proves the delivery: answer, read_back, webhook or person.'),
        ('seller_name', 'The seller to whom C2S gave the lead.'),
        ('seller', 'The seller''s name, else the id, else (no seller).'),
        ('at', 'When it happened.'),
        ('what', 'What happened.'),
        ('detail', 'How it ended, or what it was about.'),
        ('five_minutes', 'Beginning of the five minutes.'),
        ('completed', 'Events completed in them.'),
        ('failed', 'Events failed in them.'),
        ('median_seconds', 'Median from the webhook to the end.'),
        ('p95_seconds', '95th percentile from the webhook to the end.'),
        ('name', 'Of a poller: host, process and a random part. Of a lead: the customer''s name.'),
        ('started_at', 'When it started.'),
        ('beat_at', 'Its last sign of life.'),
        ('silent_for', 'Time since its last sign of life.'),
        ('version', 'The program that it runs, with the revision where the image knows it.'),
        ('metrics', 'Where it serves /metrics and /health; null where its port was taken.'),
        ('in_flight', 'Events it works on.'),
        ('concurrency', 'Events it works on at most.'),
        ('beating', 'It gave a sign of life within the last minute.'),
        ('told', 'Leads whose seller was told something.'),
        ('told_percent', 'Those in percent of all.'),
        ('median_minutes', 'Median minutes from the first webhook to the first message.'),
        ('phone', 'The phone texts as C2S has them.'),
        ('skipped', 'Why they are not looked up.'),
        ('ddd', 'Area code of the lead''s first phone; null without one.'),
        ('source', 'Who was asked.'),
        ('kind', 'By what: phone, email or record.'),
        ('answers', 'How many answers, remembered ones included.'),
        ('found', 'Answers that named somebody.'),
        ('not_found', 'Those in which the source knew nobody.'),
        ('found_percent', 'Those in percent of all.'),
        ('perhaps_paid', 'Questions whose answer was lost: nobody knows whether they were paid.'),
        ('cause', 'The stable code of why it stands there.'),
        ('upstream', 'The upstream that it waits for or that its error names.'),
        ('paused_since', 'When that upstream''s pause began.'),
        ('paused_until', 'When that upstream is tried again.'),
        ('pause_reason', 'Why it is paused.'),
        ('failures', 'Its failures in a row.'),
        ('daily_budget', 'Paid calls allowed a day; 0 for no limit.'),
        ('calls_today', 'Calls counted today.'),
        ('min_interval_seconds', 'Seconds between two calls to it.'),
        ('pollers_beating', 'Pollers that gave a sign of life within the last minute.'),
        ('last_beat_at', 'The last sign of life of any poller.'),
        ('busy_event', 'Another event of the lead that is worked on.'),
        ('busy_since', 'Since when.'),
        ('newer_event', 'The lead''s newest event, where it is newer than this one.'),
        ('newer_at', 'When that one arrived.'),
        ('newer_end', 'How that one ended or stands.'),
        ('told_ref', 'Ref of the lead''s last sent message.'),
        ('told_at', 'When the seller was last told.'),
        ('told_proof', 'What proves it.'),
        ('open_message', 'Id of a message of the lead that is not proven to be delivered.'),
        ('open_ref', 'Its ref.'),
        ('open_status', 'pending: not sent yet. sending: delivery not clear.'),
        ('restored_at', 'When the restore was noticed that the open message may have been sent before.'),
        ('cpf', 'The CPF, masked.'),
        ('cpfs', 'The CPFs of these people, masked.'),
        ('people', 'Who was found for the lead.'),
        ('closed', 'Archived or done in C2S.'),
        ('first_seen_at', 'When it was first seen.'),
        ('last_seen_at', 'When an event last told of it.'),
        ('last_told_at', 'When the seller was last told.'),
        ('messages', 'Messages that were sent.'),
        ('full_name', 'The name in the record.'),
        ('birth_date', 'The date of birth in the record.'),
        ('age', 'Years since then.'),
        ('sex', 'As the record has it.'),
        ('mother', 'The mother''s name.'),
        ('marital_status', 'As the record has it.'),
        ('education', 'As the record has it.'),
        ('occupation', 'As the record has it.'),
        ('deceased', 'The record says so.'),
        ('irregular', 'The CPF''s standing at the tax office where it is not regular.'),
        ('income', 'R$ a month as the record has it.'),
        ('income_from', 'Lower end of the income range, R$ a month.'),
        ('income_to', 'Upper end of the income range, R$ a month.'),
        ('purchasing_power', 'As the record has it.'),
        ('credit_score', 'As the record has it.'),
        ('credit_risk', 'As the record has it.'),
        ('has_record', 'The Work API has a record.'),
        ('profile_fetched_at', 'When the record was asked for.'),
        ('fresh', 'It is used without asking again.'),
        ('best_phone', 'The best phone of the newest record.'),
        ('best_email', 'The best e-mail address of the newest record.'),
        ('day', 'The day in America/Sao_Paulo.'),
        ('latest', 'Answers among the latest 50.'),
        ('latest_found', 'Those that found somebody.'),
        ('earlier', 'Answers before them, at most 500.'),
        ('earlier_found', 'Those that found somebody.'),
        ('fell', 'Far fewer than before: not chance.')
      ) as w (name, words) on w.name = a.attname
     where c.relkind = 'v' and c.relnamespace = current_schema()::regnamespace and c.relname like 'v\_%'
  loop
    if held.words is null then
      raise exception 'the column %.% has no words yet', held.relname, held.attname;
    end if;
    execute format('comment on column %I.%I is %L', held.relname, held.attname, held.words);
  end loop;
end $$;
