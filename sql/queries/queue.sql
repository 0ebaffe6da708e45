-- The state machine of an event: received → processing → completed | failed, and back to received.
--
-- The fence: every statement that changes a claimed event names (id, lease_token). The token is raised by
-- each claim, by each settlement and by each change by hand, so a poller that lost its lease changes nothing.
-- The status is left out of those conditions on purpose: with it the planner takes the partial index of
-- processing rows and reads all its dead entries.
--
-- No waiting: statements that touch several rows lock them with SKIP LOCKED first. They never wait for a row,
-- so they can take part in no deadlock with an operator's large UPDATE; a row that was busy is reported as
-- such and tried again. Only the claim can wait, inside the unique index, when a lead's other event changes
-- hands in the same instant: see there.
--
-- Time: production passes a null `now` and the database's clock counts; tests pass a time to stand exactly on
-- a boundary.

-- History: the end of each claim is a row of event_attempts, written by the statement that ends it. Measured:
-- that row takes 7 of settle's 65 µs an event and 17 % of its WAL; kept in the event's own row it took more.

-- name: claim
-- Takes due events, one per lead, from one of three lanes. A branch whose lane is not asked for costs
-- nothing.
--   oldest    beyond the mark, by due time: the ordinary lane.
--   freshest  what became due last, within the window. Every fourth claim while the backlog is old, so that a
--             lead that arrives now does not wait behind an hour of outage.
--   suspect   one event whose poller died with it. Only for a poller that has nothing else in flight.
-- `fetch` rows are looked at for `slots` wanted, so that a lead with many events at the head does not hide
-- the others. Two forms are there for the planner, whose statistics may say that the table is empty: OFFSET 0
-- keeps NOT EXISTS a look-up for each candidate (as an anti-join it reads the index of processing rows
-- whole), and LIMIT takes a sub-select, of which the planner only knows that a tenth will do. So it walks the
-- index in its order; else it sorted the whole backlog for each claim. A unique violation means that another
-- poller took one of the leads in the same instant: claim again. Two claims update in the order of the leads
-- and so cannot block each other; and `patience` gives up before Postgres looks for a deadlock (after 1 s),
-- of which an operator's UPDATE could be the victim.
-- What is due is judged at one instant, now(); a lease runs from clock_timestamp(), since the claim may have
-- waited in that index.
with oldest as materialized (
  select e.id, e.lead_id, e.updated_at, e.available_at
    from webhook_events e
   where %(lane)s::text = 'oldest' and e.status = 'received' and not e.suspect
     and e.available_at <= coalesce(%(now)s::timestamptz, now())
     and (e.available_at, e.id) > (%(mark_at)s::timestamptz, %(mark_id)s::uuid)
     and not exists (select from webhook_events p
                      where p.lead_id = e.lead_id and p.status = 'processing' offset 0)
   order by e.available_at, e.id
   limit (select %(fetch)s::integer)
     for update of e skip locked
), freshest as materialized (
  select e.id, e.lead_id, e.updated_at, e.available_at
    from webhook_events e
   where %(lane)s::text = 'freshest' and e.status = 'received' and not e.suspect
     and e.available_at <= coalesce(%(now)s::timestamptz, now())
     and e.available_at > coalesce(%(now)s::timestamptz, now()) - %(window)s::interval
     and not exists (select from webhook_events p
                      where p.lead_id = e.lead_id and p.status = 'processing' offset 0)
   order by e.available_at desc, e.id desc
   limit (select %(fetch)s::integer)
     for update of e skip locked
), suspect as materialized (
  select e.id, e.lead_id, e.updated_at, e.available_at
    from webhook_events e
   where %(lane)s::text = 'suspect' and e.status = 'received' and e.suspect
     and e.available_at <= coalesce(%(now)s::timestamptz, now())
     and not exists (select from webhook_events p
                      where p.lead_id = e.lead_id and p.status = 'processing' offset 0)
   order by e.available_at, e.id
   limit (select 1)
     for update of e skip locked
), due as materialized (
  select * from oldest union all select * from freshest union all select * from suspect
), one_per_lead as materialized (
  select id, lead_id, available_at
    from (select *, row_number() over (partition by lead_id order by updated_at, id) as place from due) ranked
   where place = 1
   order by case when %(lane)s::text = 'freshest' then available_at end desc, available_at, id
   limit %(slots)s::integer
), patience as materialized (
  select set_config('lock_timeout', '250ms', true)
), claimed as (
  update webhook_events e
     set status = 'processing', attempts = e.attempts + 1, lease_token = e.lease_token + 1,
         claimed_by = %(worker)s,
         claimed_at = coalesce(%(now)s::timestamptz, clock_timestamp()),
         lease_expires_at = coalesce(%(now)s::timestamptz, clock_timestamp()) + %(lease)s::interval,
         deadline_at = coalesce(%(now)s::timestamptz, clock_timestamp()) + %(deadline)s::interval,
         waiting_for = null, waiting_reason = null
    from patience, (select id, available_at from one_per_lead order by lead_id) o
   where e.id = o.id
  returning e.id, e.lead_id, e.updated_at, e.hook_action, e.payload_raw::text as payload, e.attempts,
         e.max_attempts, e.reprocess,
            e.lease_token, e.claimed_at, e.claimed_at - e.received_at as age, o.available_at
)
select c.*, (select count(*) from due) as looked_at from claimed c order by c.available_at, c.id;

-- name: extend_leases
-- The heartbeat: moves the end of every lease in flight, never past the attempt's deadline. Answers, for each
-- claim that is still ours, whether it was extended or its row was busy; a claim that does not come back was
-- taken away.
with mine as (
  select * from unnest(%(ids)s::uuid[], %(tokens)s::bigint[]) as m(id, lease_token)
), locked as materialized (
  select e.id
    from webhook_events e join mine m on e.id = m.id and e.lease_token = m.lease_token
   where e.deadline_at > coalesce(%(now)s::timestamptz, clock_timestamp())
     for update of e skip locked
), extended as (
  update webhook_events e
     set lease_expires_at = least(e.deadline_at,
                                  coalesce(%(now)s::timestamptz, clock_timestamp()) + %(lease)s::interval)
    from locked l
   where e.id = l.id
  returning e.id
)
select e.id, e.lease_token, (x.id is not null) as extended
  from webhook_events e join mine m on e.id = m.id and e.lease_token = m.lease_token
  left join extended x on x.id = e.id
 where e.deadline_at > coalesce(%(now)s::timestamptz, clock_timestamp());

-- name: settle
-- Ends claims, any number of them and each in its own way, and writes their history. Answers for each of
-- them:
--   settled  it ended so, now or by an earlier run of this statement whose answer never arrived.
--   busy     someone else holds the row's lock just now: try again.
--   lost     the token has moved on: someone else owns the event, nothing was changed.
-- An event that would wait for an upstream which has recovered since the claim is due at once: when that
-- upstream's waiting events were woken, this one was not among them yet. The facts that go with the endings
-- are in the same statement: the store puts the handler's statement before `ending` as a CTE of its own. So
-- no row stays locked between two round trips, whatever becomes of the poller.
with ending as materialized (
  select *
    from json_to_recordset(%(endings)s::json)
      as t(id uuid, lease_token bigint, result text, outcome text, error_kind text, error_message text,
           delay float8, waiting_for text, waiting_reason text, outcome_detail jsonb, fingerprint text,
           attempt integer, worker text, started_at timestamptz, steps jsonb, calls jsonb)
), locked as materialized (
  select e.id
    from webhook_events e join ending t on e.id = t.id and e.lease_token = t.lease_token
     for update of e skip locked
), settled as (
  update webhook_events e
     set status = case when t.result in ('completed', 'failed') then t.result else 'received' end,
         outcome = t.outcome,
         attempts = case when t.result in ('postponed', 'released') then greatest(e.attempts - 1, 0)
                         else e.attempts end,
         available_at = case when t.result in ('completed', 'failed') then e.available_at
                             when t.waiting_for is not null and exists (
                               select from upstreams u
                                where u.name = t.waiting_for and u.paused_until is null and u.failures = 0
                                  and u.changed_at > e.claimed_at) then e.received_at
                             else coalesce(%(now)s::timestamptz, clock_timestamp())
                                    + t.delay * interval '1 s' end,
         processed_at = case when t.result in ('completed', 'failed')
                               then coalesce(%(now)s::timestamptz, clock_timestamp()) end,
         error_kind = case when t.result <> 'completed' then coalesce(t.error_kind, e.error_kind) end,
         error_message = case when t.result <> 'completed'
                                then coalesce(t.error_message, e.error_message) end,
         waiting_for = t.waiting_for,
         waiting_reason = t.waiting_reason,
         outcome_detail = t.outcome_detail,
         fingerprint = coalesce(t.fingerprint, e.fingerprint),
         suspect = e.suspect and t.result = 'released',
         reprocess = e.reprocess and t.result not in ('completed', 'failed'),
         lease_token = e.lease_token + 1,
         claimed_by = null, claimed_at = null, lease_expires_at = null, deadline_at = null
    from ending t, locked l
   where e.id = l.id and t.id = l.id and e.lease_token = t.lease_token
  returning e.id, t.lease_token
), history as (
  insert into event_attempts (event_id, lease_token, attempt, worker, started_at, finished_at, result,
                              outcome, error_kind, error_message, steps, calls)
  select t.id, t.lease_token, t.attempt, t.worker, t.started_at,
         coalesce(%(now)s::timestamptz, clock_timestamp()), t.result, t.outcome,
         t.error_kind, t.error_message, t.steps, t.calls
    from ending t join settled s on s.id = t.id and s.lease_token = t.lease_token
)
select t.id, t.lease_token,
       case when s.id is not null then 'settled'
            when (select e.id from webhook_events e
                   where e.id = t.id and e.lease_token = t.lease_token) is not null then 'busy'
            when (select a.event_id from event_attempts a
                   where a.event_id = t.id and a.lease_token = t.lease_token and a.result = t.result
                     and a.worker = t.worker) is not null
              then 'settled'
            else 'lost' end as answer
  from ending t left join settled s on s.id = t.id and s.lease_token = t.lease_token;

-- name: reclaim_expired
-- Gives back events whose lease has ended: their poller died, or their task hung until the deadline. They are
-- suspects now and run alone next time. With the attempts spent the event fails as worker_lost. The first
-- loss is due at once, later ones wait with doubling backoff. Reads the index of processing rows, which is as
-- small as what is in flight. What the asking worker holds itself is left to it until the deadline: it is
-- alive, and ends the attempt without suspicion.
with expired as materialized (
  select e.id, e.lease_token, e.attempts, e.claimed_by, e.claimed_at
    from webhook_events e
   where e.status = 'processing' and e.lease_expires_at <= coalesce(%(now)s::timestamptz, clock_timestamp())
     and (e.id <> all(%(holding)s::uuid[])
          or e.deadline_at <= coalesce(%(now)s::timestamptz, clock_timestamp()))
   limit 100
     for update of e skip locked
), reclaimed as (
  update webhook_events e
     set status = case when e.attempts >= e.max_attempts then 'failed' else 'received' end,
         processed_at = case when e.attempts >= e.max_attempts
                               then coalesce(%(now)s::timestamptz, clock_timestamp()) end,
         available_at = coalesce(%(now)s::timestamptz, clock_timestamp())
           + case when e.attempts <= 1 then interval '0'
                  else least(%(backoff_cap)s::interval,
                             %(backoff_base)s::interval * power(2, least(e.attempts - 2, 20)))
                       * (0.5 + random() / 2) end,
         error_kind = 'worker_lost',
         error_message = 'the poller ' || x.claimed_by || ' lost this event: it died, or the task hung',
         suspect = true, lease_token = e.lease_token + 1,
         claimed_by = null, claimed_at = null, lease_expires_at = null, deadline_at = null
    from expired x
   where e.id = x.id
  returning e.id, e.status
), history as (
  insert into event_attempts (event_id, lease_token, attempt, worker, started_at, finished_at, result,
                              error_kind)
  select x.id, x.lease_token, x.attempts, x.claimed_by, x.claimed_at,
         coalesce(%(now)s::timestamptz, clock_timestamp()),
         'worker_lost', 'worker_lost'
    from expired x
)
select count(*) as reclaimed, count(*) filter (where status = 'failed') as failed from reclaimed;

-- name: outlook
-- What an idle poller needs. Only what becomes due later is looked for: what is due and yet was not claimed
-- waits for its lead or for another poller's transaction, and the dead entries at the head of the index need
-- not be walked.
select extract(epoch from least(
         (select min(available_at) from webhook_events
           where status = 'received' and not suspect
             and available_at > coalesce(%(now)s::timestamptz, now())),
         (select min(available_at) from webhook_events
           where status = 'received' and suspect and available_at > coalesce(%(now)s::timestamptz, now()))
       ) - coalesce(%(now)s::timestamptz, now()))::float8 as next_due,
       exists (select 1 from webhook_events
                where status = 'received' and suspect
                  and available_at <= coalesce(%(now)s::timestamptz, now())) as suspect_due;

-- name: poller_beats
-- Says that a poller lives. For people and /health only: no decision about an event rests on it.
insert into pollers (name, in_flight, concurrency) values (%(name)s, %(in_flight)s, %(concurrency)s)
on conflict (name) do update
   set beat_at = now(), in_flight = excluded.in_flight, concurrency = excluded.concurrency;

-- name: poller_leaves
-- A poller that ends says so; one that was killed is forgotten after an hour.
delete from pollers where name = %(name)s or beat_at < now() - interval '1 hour';
