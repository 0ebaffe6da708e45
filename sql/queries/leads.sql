-- What the page of one lead shows besides its explanation.

-- name: lead_story
-- One row; every list is newest first and bounded. `personal`: with CPFs, birth dates and contacts.
select
  (select coalesce(jsonb_agg(to_jsonb(e) order by e.received_at desc), '[]')
     from (select id as event_id, lead_id, hook_action, status, outcome, attempts, max_attempts, received_at,
                  processed_at, available_at, waiting_for, waiting_reason, error_kind, error_message,
                  error_group,
                  (select coalesce(jsonb_agg(to_jsonb(a) order by a.started_at desc), '[]')
                     from (select attempt, worker, started_at, finished_at, result, outcome, error_kind,
                                  error_message, steps, calls
                             from event_attempts where event_id = w.id
                            order by lease_token desc limit 20) a) as tries
             from webhook_events w where lead_id = %(lead)s
            order by updated_at desc limit 50) e) as events,
  (select coalesce(jsonb_agg(to_jsonb(m) order by m.created_at desc), '[]')
     from (select id, event_id, ref, status, left(body, 10000) as body, sends, looks, created_at, sending_at,
                  sent_at, proof
             from lead_messages where lead_id = %(lead)s
            order by created_at desc limit 20) m) as messages,
  (select coalesce(jsonb_agg(to_jsonb(p) order by p.seen_at desc), '[]')
     from (select case when %(personal)s then l.cpf else masked_cpf(l.cpf) end as cpf,
                  left(r.full_name, 300) as name,
                  case when %(personal)s then r.birth_date end as birth_date, l.found_by, l.seen_at,
                  r.profile is not null as has_record, r.profile_fetched_at
             from lead_people l left join people r on r.cpf = l.cpf
            where l.lead_id = %(lead)s
            order by l.seen_at desc limit 20) p) as people,
  (select coalesce(jsonb_agg(to_jsonb(j) order by j.received_at desc), '[]')
     from (select id, received_at, reason, left(detail, 500) as detail, lead_id, length(raw) as size,
                  replayed_at, times, last_received_at, dismissed_at
             from rejected_deliveries
            where lead_id = %(lead)s and replayed_at is null and dismissed_at is null
            order by received_at desc limit 20) j) as rejects,
  -- Of the newest 2,000: what named this lead, one of its events or one of its messages.
  (select coalesce(jsonb_agg(to_jsonb(o) order by o.at desc), '[]')
     from (select id, at, actor, via, verb, filter, reason, state, planned, done, skipped, ended_at
             from (select * from operator_actions order by at desc limit 2000) newest
            where filter ->> 'lead' = %(lead)s
               or filter ? 'event' and filter -> 'event' ?| array(
                    select id::text from webhook_events where lead_id = %(lead)s
                     order by updated_at desc limit 50)
               or filter ->> 'message' in (select id::text from lead_messages where lead_id = %(lead)s)
            order by at desc limit 50) o) as actions,
  (select to_jsonb(c)
     from (select left(name, 300) as name, case when %(personal)s then left(phone, 300) end as phone,
                  case when %(personal)s then left(email, 300) end as email, closed, seller_name
             from leads where lead_id = %(lead)s) c) as customer;
