-- Bulk actions: what a plan would do, and one batch of it. Each statement reads `filter` again, so that what
-- has changed since the plan is left out; `planned_at` and the mark (received_at, event_id) keep a batch from
-- meeting its own work again. Every UPDATE repeats the guard: it touches nothing that is in flight or has
-- changed hands.

-- name: keep_plan
insert into operator_actions (actor, via, verb, filter, reason, planned)
values (%(actor)s, %(via)s, %(verb)s, %(filter)s, %(reason)s, %(planned)s)
returning id, at;

-- name: plan_groups
-- What is planned, in groups of one state and error, largest first. The first row, without a state, is all of
-- it, with the ids of up to `sample` of its leads.
with planned as materialized (
  select event_id, lead_id, status = 'processing' as flies, coalesce(outcome, status) as state, error_group,
         received_at
    from matching_events(%(filter)s::jsonb)
   order by received_at, event_id limit %(most)s::bigint
), grouped as (
  select state, error_group, count(*) as events,
         count(distinct lead_id) filter (where not flies) as leads,
         count(*) filter (where flies) as in_flight,
         min(received_at) as first_at, max(received_at) as newest_at,
         (array_agg(event_id order by received_at))[1] as example
    from planned
   group by grouping sets ((state, error_group), ())
)
select g.*, e.error_message as error,
       case when g.state is null then array(select distinct lead_id from planned where not flies
                                             limit %(sample)s::integer) end as some_leads
  from grouped g left join webhook_events e on e.id = g.example
 order by g.state is not null, g.events desc;

-- name: plan_leads
-- What paid calls depend on, and whether the seller was told before.
select lead_id, l.name, l.phone, l.email,
       (select count(*) from lead_people p where p.lead_id = planned.lead_id) as people,
       (select count(*) from lead_people p join people r using (cpf)
         where p.lead_id = planned.lead_id and r.expires_at > now()) as fresh_people,
       exists (select from lead_messages m where m.lead_id = planned.lead_id and m.status = 'sent') as told
  from unnest(%(leads)s::text[]) as planned (lead_id)
  left join leads l using (lead_id);

-- name: fresh_contacts
select distinct contact from contact_lookups
 where contact = any(%(contacts)s::text[]) and expires_at > now();

-- name: plan_limits
-- Seconds between two calls, and what is left of today's budget; null where there is none.
select name, extract(epoch from min_interval)::float8 as every,
       case when daily_budget > 0 then greatest(daily_budget - case
         when budget_day = (now() at time zone 'America/Sao_Paulo')::date then calls_today
         else 0 end, 0) end as budget_left
  from upstreams;

-- name: begin_plan
-- A plan runs once. No row: unknown, too old to be what its numbers say, or begun before.
update operator_actions set state = 'running'
 where id = %(id)s and state = 'planned' and at > now() - interval '15 minutes'
returning id, at, actor, via, verb, filter, reason, state, planned, done, skipped, ended_at;

-- name: plan_states
-- One, or a page of the newest, from behind the one named `after`.
select id, at, actor, via, verb, filter, reason, state, planned, done, skipped, ended_at
  from operator_actions
 where (%(id)s::uuid is null or id = %(id)s::uuid) and (%(after)s::uuid is null
        or (at, id) < (select at, id from operator_actions where id = %(after)s::uuid))
 order by at desc, id desc
 limit %(limit)s::integer;

-- name: stop_plan
-- A run sees it after the batch that it is in; what was only planned cannot be begun any more.
update operator_actions set state = 'stopped', ended_at = coalesce(ended_at, now())
 where id = %(id)s and state in ('planned', 'running') returning id;

-- name: batch_leads
-- The leads of the next batch: their remembered answers are forgotten before it runs (--fresh).
select distinct lead_id
  from next_of_plan(%(filter)s::jsonb, %(planned_at)s::timestamptz, %(after_at)s::timestamptz,
                    %(after_id)s::uuid, %(batch)s::integer)
 where status <> 'processing';

-- name: reprocess_batch
with next as materialized (
  select * from next_of_plan(%(filter)s::jsonb, %(planned_at)s::timestamptz, %(after_at)s::timestamptz,
                             %(after_id)s::uuid, %(batch)s::integer)
), held as materialized (
  select e.id from webhook_events e join next n on n.event_id = e.id
   where e.status = n.status and e.status <> 'processing'
     for update of e skip locked
), changed as (
  update webhook_events e set status = 'received' from held h where e.id = h.id returning e.status
)
select (select count(*) from next) as seen,
       (select count(*) from changed where status = 'received') as done,
       n.received_at, n.event_id
  from next n order by n.received_at desc, n.event_id desc limit 1;

-- name: fail_batch
with next as materialized (
  select * from next_of_plan(%(filter)s::jsonb, %(planned_at)s::timestamptz, %(after_at)s::timestamptz,
                             %(after_id)s::uuid, %(batch)s::integer)
), held as materialized (
  select e.id from webhook_events e join next n on n.event_id = e.id
   where e.status = n.status and e.status = 'received'
     for update of e skip locked
), changed as (
  update webhook_events e set status = 'failed', error_kind = 'given_up', error_message = %(reason)s
    from held h where e.id = h.id returning e.status
)
select (select count(*) from next) as seen,
       (select count(*) from changed where status = 'failed') as done,
       n.received_at, n.event_id
  from next n order by n.received_at desc, n.event_id desc limit 1;

-- name: judge_batch
-- A person's verdict on every unclear message of these events; they go on with it, as after one by one.
with next as materialized (
  select * from next_of_plan(%(filter)s::jsonb, %(planned_at)s::timestamptz, %(after_at)s::timestamptz,
                             %(after_id)s::uuid, %(batch)s::integer)
), held as materialized (
  select e.id from webhook_events e join next n on n.event_id = e.id
   where e.status = n.status and e.status = 'failed'
     for update of e skip locked
), judged as (
  update lead_messages m
     set status = case when %(there)s then 'sent' else 'pending' end, looks = 0,
         sends = case when %(there)s then m.sends else 0 end,
         sent_at = case when %(there)s then now() end, proof = case when %(there)s then 'person' end
    from held h where m.event_id = h.id and m.status = 'sending'
  returning m.event_id, m.lead_id
), changed as (
  update webhook_events e set status = 'received'
    from judged j
   where e.lead_id = j.lead_id
     and (e.id = j.event_id or (e.status = 'failed' and e.error_kind = 'delivery_unclear'))
  returning e.id, e.status
)
select (select count(*) from next) as seen,
       (select count(distinct id) from changed
         where status = 'received' and id in (select event_id from next)) as done,
       n.received_at, n.event_id
  from next n order by n.received_at desc, n.event_id desc limit 1;

-- name: count_batch
-- Progress for everybody who looks, and whether nobody has stopped it.
update operator_actions set done = done + %(done)s, skipped = skipped + %(skipped)s
 where id = %(id)s returning state = 'running';

-- name: end_plan
update operator_actions
   set state = case when state = 'running' then %(state)s else state end, ended_at = now()
 where id = %(id)s
returning id, at, actor, via, verb, filter, reason, state, planned, done, skipped, ended_at;

-- name: may_record
-- Fails where record_action would, before anything is done.
insert into operator_actions (actor, via, verb) select '', 'cli', '' where false;

-- name: record_action
-- Something done at once, to one thing.
insert into operator_actions (actor, via, verb, filter, reason, state, planned, done, ended_at)
values (%(actor)s, %(via)s, %(verb)s, %(filter)s, %(reason)s, 'done', 1, 1, now());
