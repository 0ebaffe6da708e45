-- What ALERT_WEBHOOK_URL is told: transitions only, once for all processes.

-- name: note_problems
-- What is wrong now, and what is over. A problem that comes back before its recovery was told goes on as the
-- same; what nobody was told of needs no recovery either.
with wrong as (
  insert into alerts (key, scope, text)
  select given.key, %(scope)s, given.text
    from unnest(%(keys)s::text[], %(texts)s::text[]) as given (key, text)
  on conflict (key) do update set text = excluded.text, recovered_at = null
), over as (
  update alerts set recovered_at = now()
   where scope = %(scope)s and recovered_at is null and told_at is not null and key <> all (%(keys)s::text[])
)
delete from alerts where scope = %(scope)s and told_at is null and key <> all (%(keys)s::text[]);

-- name: alerts_to_tell
-- Oldest first. Both a beginning and an end must have lasted for `hold`: what flickers is not told.
select key, text, now() - since as since, recovered_at is not null as over
  from alerts
 where scope = %(scope)s
   and (told_at is null and since <= now() - %(hold)s::interval or recovered_at <= now() - %(hold)s::interval)
 order by since, key
 limit 20;

-- name: alerts_told
-- After the receiver has answered: beginnings are remembered, ends are forgotten.
with ended as (
  delete from alerts where key = any (%(keys)s::text[]) and recovered_at is not null
)
update alerts set told_at = now() where key = any (%(keys)s::text[]) and recovered_at is null;

-- name: valuable_leads
-- Leads whose message went out within an hour and whose person earns that much, each once.
insert into alerts (key, scope, text)
select distinct 'lead:' || m.lead_id, 'leads', m.lead_id
  from lead_messages m
  join lead_people l on l.lead_id = m.lead_id
  join people p on p.cpf = l.cpf
 where m.status = 'sent' and m.sent_at > now() - interval '1 hour'
   and greatest(p.income, p.income_to) >= %(income)s
on conflict (key) do nothing;

-- name: forget_alerts
-- What lasts longer than a week is told again each week.
delete from alerts where told_at < now() - interval '7 days';
