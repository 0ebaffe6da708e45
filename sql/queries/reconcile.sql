-- Recovery of what we were never told: leads as C2S lists them, held against the events that we have.

-- name: start_of
-- The database's time, so long ago.
select clock_timestamp() - %(since)s::interval;

-- name: compare_lead
-- Was it erased, is there an event of this time or a later one; else, what contact was known and last told,
-- and was it closed when we last heard of it. Always one row.
select case
         when exists (select from erased_leads x where x.lead_id = given.lead_id) then 'erased'
         when exists (select from webhook_events e
                       where e.lead_id = given.lead_id and e.updated_at >= given.updated_at
                         and (e.updated_at = given.updated_at or e.ordered_at >= given.updated_at))
           then 'known'
       end as verdict,
       l.name, l.phone, l.email, coalesce(l.closed, false) as closed,
       (select p.fingerprint from webhook_events p
         where p.lead_id = given.lead_id and p.status = 'completed' and p.outcome in ('enriched', 'partial')
         order by p.updated_at desc limit 1) as told_fingerprint
  from (values (%(lead_id)s::text, %(updated_at)s::timestamptz)) as given (lead_id, updated_at)
  left join leads l on l.lead_id = given.lead_id;

-- name: insert_missing
-- An event as a webhook would have made it. No row: a webhook brought it meanwhile.
insert into webhook_events (lead_id, updated_at, hook_action, payload_raw)
values (%(lead_id)s, %(updated_at)s, 'reconcile', %(payload)s::jsonb)
on conflict (lead_id, updated_at) do nothing
returning id;
