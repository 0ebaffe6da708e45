-- What `c2s-enrich explain` knows before it says a word.

-- name: situation
-- One row for an event, a lead or the ref of a message (two of the three are null). Counts of others end at
-- 1,000.
with asked as materialized (
  select coalesce((select lead_id from webhook_events where id = %(event)s::uuid),
                  (select lead_id from lead_messages where ref = %(ref)s::text
                    order by created_at desc limit 1),
                  %(lead)s::text) as lead_id
), chosen as materialized (
  select x.* from v_explain x
   where x.event_id = case when %(event)s::uuid is not null then %(event)s::uuid
                           else (select id from webhook_events where lead_id = (select lead_id from asked)
                                  order by updated_at desc limit 1) end
)
select (select lead_id from asked) as lead_id,
       (select to_jsonb(c) from chosen c) as event,
       now() as now,
       (select erased_at from erased_leads where lead_id = (select lead_id from asked)) as erased_at,
       (select to_jsonb(r) from (select id as reject_id, received_at as rejected_at,
                                        reason as reject_reason, detail
                                   from rejected_deliveries
                                  where lead_id = (select lead_id from asked)
                                    and replayed_at is null and dismissed_at is null
                                  order by received_at desc limit 1) r) as reject,
       (select max(received_at) from webhook_events) as last_webhook_at,
       (select count(*) from (
          select 1 from webhook_events e, chosen c
           where c.status = 'received' and c.waiting_for is not null and e.status = 'received'
             and e.waiting_for = c.waiting_for and e.waiting_reason is not distinct from c.waiting_reason
           limit 1000) waiting)
       + (select count(*) from (
          select 1 from webhook_events e, chosen c
           where c.status = 'failed' and e.status = 'failed' and e.error_group = c.error_group
           limit 1000) failed) as same_cause,
       (select count(*) from (
          select 1 from webhook_events e, chosen c
           where c.status = 'received' and c.available_at <= now() and e.status = 'received' and not e.suspect
             and e.available_at < c.available_at
           limit 1000) before) as ahead,
       (select count(*) from (
          select 1 from webhook_events
           where status in ('completed', 'failed') and processed_at > now() - interval '5 minutes'
           limit 10000) lately) as settled_lately;

-- name: lead_history
-- All that happened to a lead, oldest first.
select at, what, detail, event_id from v_lead_history where lead_id = %(lead)s order by at limit 200;
