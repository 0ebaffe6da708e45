-- The state machine of an event, and the statements that make its transitions.
--
-- from        to          by whom                                       attempts  token  statement
-- (none)      received    webhook, replay, reconciliation               0         0      several
-- (none)      completed   the same, of an erased lead (trigger)         0         0      keep_lead_erased
-- received    processing  claim                                         +1        +1     claim
-- received    received    recovery or resume of its upstream: due       same      same   wake_events
-- received    received    the clock was set back: due                   same      same   catch_up
-- processing  processing  heartbeat: the lease ends later               same      same   extend_leases
-- processing  completed   the handler is done                           same      +1     settle
-- processing  failed      the verdict: hopeless, or attempts spent      same      +1     settle
-- processing  received    the verdict: retried                          same      +1     settle
-- processing  received    the verdict: postponed; released              -1        +1     settle
-- processing  received    its poller died, or its task hung             same      +1     reclaim
-- processing  failed      the same, attempts spent                      same      +1     reclaim
-- any         received    a person, by UPDATE (trigger)                 0         +1     changed_by_hand
-- any         completed   a person, by UPDATE (trigger)                 same      +1     changed_by_hand
-- any         failed      a person, by UPDATE (trigger)                 same      +1     changed_by_hand
-- failed      received    a person's verdict on an unclear message      0         +1     changed_by_hand
-- any         completed   erasure of its lead                           same      +1     privacy.sql
--
-- The fence: every statement that changes a claimed event names (id, lease_token). The token is raised by
-- each claim, by each settlement and by each change by hand, so a poller that lost its lease changes
-- nothing. The status is left out of those conditions on purpose: with it the planner takes the partial
-- index of processing rows and reads all its dead entries.
--
-- No waiting: statements that touch several rows lock them with SKIP LOCKED first. They never wait for a
-- row, so they can take part in no deadlock with an operator's large UPDATE; a row that was busy is reported
-- as such and tried again. Only the claim can wait, inside the unique index, when a lead's other event
-- changes hands in the same instant: see there.
--
-- Time: production passes a null `now` and the database's clock counts; tests pass a time to stand exactly
-- on a boundary. What is due is judged by now(), the statement's begin; what is written is dated by
-- clock_timestamp(), because the statement may have waited for its locks in between.
--
-- History: the end of each claim is a row of event_attempts, written by the statement that ends it. Measured:
-- that row takes 7 of settle's 65 µs an event and 17 % of its WAL; kept in the event's own row it took more.

-- name: claim
-- Takes due events, one per lead, from one of three lanes. A branch whose lane is not asked for costs
-- nothing.
--   oldest    beyond the mark, by due time: the ordinary lane.
--   freshest  what became due last, within the window: see Claimer.
--   suspect   one event that was lost twice in a row. Only for a process that does nothing else.
-- Each row also tells how far the lane was looked through: of a lead with many events only one is taken, and
-- the next claim of the ordinary lane goes on beyond all that were looked at.
-- Three forms are there for the planner, whose statistics may say that the table is empty: OFFSET 0 keeps
-- EXISTS a look-up for each candidate (as an anti-join it reads the index of processing rows whole), NULLIF
-- says NOT EXISTS without halving the estimate (at an estimate of one row a sort costs less), and LIMIT takes
-- a sub-select, which the planner takes for a tenth. So it walks the index in its order; else it sorted the
-- whole backlog for each claim.
-- A unique violation means that another poller took one of the leads in the same instant: claim again. Two
-- claims update in the order of the leads and so cannot block each other; and `patience` gives up before
-- Postgres looks for a deadlock (after 1 s), whose victim could be an operator's UPDATE.
-- now() says what is due; clock_timestamp() dates the lease, which must not begin before a wait for locks.
with oldest as materialized (
  select e.id, e.lead_id, e.ordered_at, e.updated_at, e.available_at
    from webhook_events e
   where %(lane)s::text = 'oldest' and e.status = 'received' and not e.suspect
     and e.available_at <= coalesce(%(now)s::timestamptz, now())
     and (e.available_at, e.id) > (%(mark_at)s::timestamptz, %(mark_id)s::uuid)
     and nullif(exists (select 1 from webhook_events p
                         where p.lead_id = e.lead_id and p.status = 'processing' offset 0), true) is not null
   order by e.available_at, e.id
   limit (select %(slots)s::integer)
     for update of e skip locked
), freshest as materialized (
  select e.id, e.lead_id, e.ordered_at, e.updated_at, e.available_at
    from webhook_events e
   where %(lane)s::text = 'freshest' and e.status = 'received' and not e.suspect
     and e.available_at <= coalesce(%(now)s::timestamptz, now())
     and e.available_at > coalesce(%(now)s::timestamptz, now()) - %(window)s::interval
     and nullif(exists (select 1 from webhook_events p
                         where p.lead_id = e.lead_id and p.status = 'processing' offset 0), true) is not null
   order by e.available_at desc, e.id desc
   limit (select %(slots)s::integer)
     for update of e skip locked
), suspect as materialized (
  select e.id, e.lead_id, e.ordered_at, e.updated_at, e.available_at
    from webhook_events e
   where %(lane)s::text = 'suspect' and e.status = 'received' and e.suspect
     and e.available_at <= coalesce(%(now)s::timestamptz, now())
     and nullif(exists (select 1 from webhook_events p
                         where p.lead_id = e.lead_id and p.status = 'processing' offset 0), true) is not null
   order by e.available_at, e.id
   limit (select 1)
     for update of e skip locked
), due as materialized (
  select * from oldest union all select * from freshest union all select * from suspect
), looked_to as materialized (
  select available_at, id from due order by available_at desc, id desc limit 1
), one_per_lead as materialized (
  select id, lead_id, available_at
    from (select *, row_number() over (partition by lead_id order by ordered_at, updated_at, id) as place
            from due) ranked
   where place = 1
), patience as materialized (
  select set_config('lock_timeout', '250ms', true)
), claimed as (
  update webhook_events e
     set status = 'processing', attempts = e.attempts + 1, lease_token = e.lease_token + 1,
         claimed_by = %(worker)s, max_attempts = coalesce(%(max_attempts)s::integer, e.max_attempts),
         claimed_at = coalesce(%(now)s::timestamptz, clock_timestamp()),
         lease_expires_at = coalesce(%(now)s::timestamptz, clock_timestamp()) + %(lease)s::interval,
         deadline_at = coalesce(%(now)s::timestamptz, clock_timestamp()) + %(deadline)s::interval,
         waiting_for = null, waiting_reason = null
    from patience, (select id, available_at from one_per_lead order by lead_id) o
   where e.id = o.id
  returning e.id, e.lead_id, e.updated_at, e.hook_action, e.payload_raw::text as payload, e.attempts,
            e.max_attempts, e.reprocess, e.lease_token, e.claimed_at, e.claimed_at - e.received_at as age,
            o.available_at
)
select c.*, l.available_at as looked_to_at, l.id as looked_to_id
  from claimed c, looked_to l
 order by c.available_at, c.id;

-- name: extend_leases
-- The heartbeat: moves the end of every lease in flight, never past the attempt's deadline. Answers, for
-- each claim that is still ours, whether it was extended or its row was busy; a claim that does not come
-- back was taken away.
with mine as (
  select * from unnest(%(ids)s::uuid[], %(tokens)s::bigint[]) as m(id, lease_token)
), locked as materialized (
  select e.id
    from webhook_events e join mine m on e.id = m.id and e.lease_token = m.lease_token
   where e.deadline_at > coalesce(%(now)s::timestamptz, clock_timestamp())
     for update of e skip locked
), extended as (
  update webhook_events e
     set lease_expires_at = least(coalesce(%(now)s::timestamptz, clock_timestamp()) + %(lease)s::interval,
                                  e.deadline_at)
    from locked l
   where e.id = l.id
  returning e.id
)
select e.id, e.lease_token, (x.id is not null) as extended
  from webhook_events e join mine m on e.id = m.id and e.lease_token = m.lease_token
  left join extended x on x.id = e.id
 where e.deadline_at > coalesce(%(now)s::timestamptz, clock_timestamp());

-- name: settle
-- Ends claims, any number of them and each in its own way, and writes their history. Answers a list in the
-- order of their `n`:
--   settled  it ended so, now or by an earlier run of this statement whose answer never arrived.
--   busy     someone else holds the row's lock just now: try again.
--   lost     the token has moved on: someone else owns the event, nothing was changed.
-- An event that would wait for an upstream which has recovered since the claim is due at once: when that
-- upstream's waiting events were woken, this one was not among them yet. The upstream's row is locked for
-- that, so a recovery that comes later finds this event waiting. Where the row is being changed just now,
-- perhaps by a recovery, nobody waits for it: the event is due within a second and sees for itself.
-- The facts that go with the endings are in the same statement: the store puts the handler's statement
-- before `ending` as a CTE of its own. So no row stays locked between two round trips, whatever becomes of
-- the poller.
with ending as materialized (
  select *
    from json_to_recordset(%(endings)s::json)
      as t(n integer, id uuid, lease_token bigint, result text, outcome text, error_kind text,
           error_message text, delay float8, waiting_for text, waiting_reason text, outcome_detail jsonb,
           fingerprint text, steps jsonb, calls jsonb)
), upstream as materialized (
  select u.name, u.changed_at, u.paused_until is null and u.failures = 0 as well
    from upstreams u where u.name in (select waiting_for from ending) for share skip locked
), locked as materialized (
  select t.*, e.attempts as attempt, e.claimed_by as worker, e.claimed_at as started_at
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
                               select from upstream u
                                where u.name = t.waiting_for and u.well and u.changed_at > e.claimed_at)
                               then e.received_at
                             else coalesce(%(now)s::timestamptz, clock_timestamp())
                                    + interval '1 s' * case when t.waiting_for is null or t.waiting_for in (
                                                                 select name from upstream) then t.delay
                                                            else least(t.delay, 1) end end,
         processed_at = case when t.result in ('completed', 'failed')
                               then coalesce(%(now)s::timestamptz, clock_timestamp()) end,
         error_kind = case when t.result <> 'completed' then coalesce(t.error_kind, e.error_kind) end,
         error_message = case when t.result <> 'completed'
                                then coalesce(t.error_message, e.error_message) end,
         waiting_for = t.waiting_for,
         waiting_reason = t.waiting_reason,
         outcome_detail = t.outcome_detail,
         fingerprint = coalesce(t.fingerprint, e.fingerprint),
         losses = case when t.result = 'released' then e.losses else 0 end,
         reprocess = e.reprocess and t.result not in ('completed', 'failed'),
         lease_token = e.lease_token + 1,
         claimed_by = null, claimed_at = null, lease_expires_at = null, deadline_at = null
    from locked t
   where e.id = t.id and e.lease_token = t.lease_token
  returning t.*
), history as (
  insert into event_attempts (event_id, lease_token, attempt, worker, started_at, finished_at, result,
                              outcome, error_kind, error_message, steps, calls)
  select id, lease_token, attempt, worker, started_at,
         coalesce(%(now)s::timestamptz, clock_timestamp()), result, outcome, error_kind, error_message,
         coalesce(steps, '[]'), coalesce(calls, '[]')
    from settled
)
select array(
  select case when s.n is not null then 'settled'
              when (select e.id from webhook_events e
                     where e.id = t.id and e.lease_token = t.lease_token) is not null then 'busy'
              when (select a.event_id from event_attempts a
                     where a.event_id = t.id and a.lease_token = t.lease_token
                       and a.result = t.result and a.worker = %(worker)s) is not null then 'settled'
              else 'lost' end
    from ending t left join settled s on s.n = t.n
   order by t.n) as answers;

-- name: reclaim
-- Gives back events whose lease has ended, and at once those of workers that are known to be dead: the
-- poller died, or the task hung until its deadline. One loss is nobody's fault: the event keeps its place in
-- the ordinary lane. From the second loss in a row on it is a suspect, and waits with doubling backoff. With
-- the attempts spent it fails as worker_lost. Reads the index of processing rows, which is as small as what
-- is in flight. What the asking worker holds itself is left to it until the deadline: it is alive, and ends
-- the attempt by itself. Answers what was reclaimed, for the log, and the workers of those whose row somebody
-- has locked.
with lost as materialized (
  select e.id, e.claimed_by
    from webhook_events e
   where e.status = 'processing'
     and (e.claimed_by = any(%(dead)s::text[])
          or (e.lease_expires_at <= coalesce(%(now)s::timestamptz, clock_timestamp())
              and (e.id <> all(%(holding)s::uuid[])
                   or e.deadline_at <= coalesce(%(now)s::timestamptz, clock_timestamp()))))
), free as materialized (
  -- The condition once more: a heartbeat may have come in between.
  select e.id, e.lease_token, e.attempts, e.claimed_by, e.claimed_at
    from webhook_events e
   where e.id in (select id from lost) and e.status = 'processing'
     and (e.claimed_by = any(%(dead)s::text[])
          or e.lease_expires_at <= coalesce(%(now)s::timestamptz, clock_timestamp()))
     for update of e skip locked
), reclaimed as (
  update webhook_events e
     set status = case when e.attempts >= e.max_attempts then 'failed' else 'received' end,
         processed_at = case when e.attempts >= e.max_attempts
                               then coalesce(%(now)s::timestamptz, clock_timestamp()) end,
         available_at = case when e.losses = 0 then e.available_at
                             else coalesce(%(now)s::timestamptz, clock_timestamp())
                                    + least(%(backoff_base)s::interval * power(2, least(e.losses - 1, 20)),
                                            %(backoff_cap)s::interval) * (0.5 + random() / 2) end,
         error_kind = 'worker_lost',
         error_message = 'the poller ' || f.claimed_by || ' lost this event: it died, or the task hung',
         losses = e.losses + 1, lease_token = e.lease_token + 1,
         claimed_by = null, claimed_at = null, lease_expires_at = null, deadline_at = null
    from free f
   where e.id = f.id
  returning e.id, e.lead_id, e.attempts, f.claimed_by as worker, e.status = 'failed' as failed
), history as (
  insert into event_attempts (event_id, lease_token, attempt, worker, started_at, finished_at, result,
                              error_kind)
  select f.id, f.lease_token, f.attempts, f.claimed_by, f.claimed_at,
         coalesce(%(now)s::timestamptz, clock_timestamp()), 'worker_lost', 'worker_lost'
    from free f
)
select coalesce((select jsonb_agg(jsonb_build_object('event_id', id, 'lead_id', lead_id, 'attempt', attempts,
                                                     'worker', worker, 'failed', failed))
                   from reclaimed), '[]') as reclaimed,
       array(select distinct claimed_by from lost where id not in (select id from free)) as locked_by;

-- name: catch_up
-- Makes due what was stored while the database's clock was ahead: it would wait for as long as that was.
update webhook_events
   set available_at = now()
 where id in (select id from webhook_events
               where status = 'received' and available_at > now()
                 and received_at > now() + interval '1 minute'
                 for update skip locked)
returning id;

-- name: end_sessions
-- Ends what a worker has open in the database, where its claims are over and their rows stay locked: a frozen
-- process, or a machine that vanished without closing its connections.
select count(*) filter (where pg_terminate_backend(pid))
  from pg_stat_activity
 where datname = current_database() and usename = current_user and state <> 'idle'
   and application_name in ('c2s-enrich pool ' || %(worker)s, 'c2s-enrich pulse ' || %(worker)s);

-- name: beat
-- Says that a poller lives, and answers what one at rest must know: seconds until the next event becomes
-- due, whether one is due now (some may be waiting for their lead), whether a suspect is, whether a lease is
-- over, whether other pollers have work in flight, the workers with a pulse whose session is gone, and
-- whether the process for suspects holds one. A beat that a crash forgets is followed by the next: it keeps
-- no claim waiting for the disk.
with sessions as materialized (
  select application_name from pg_stat_activity where datname = current_database()
), in_flight as materialized (
  -- Read once: while an old transaction is open, all that has been in flight since is walked with it.
  select claimed_by, lease_expires_at <= coalesce(%(now)s::timestamptz, now()) as over
    from webhook_events where status = 'processing'
), beat as (
  -- The direct address may be another server's, or another database's.
  insert into pollers (name, in_flight, concurrency, pulse, version, metrics)
  select %(worker)s, %(in_flight)s, %(concurrency)s,
         %(pulse)s and exists (select from sessions s
                                where s.application_name = 'c2s-enrich pulse ' || %(worker)s::text),
         %(version)s, %(metrics)s
  on conflict (name) do update
     set beat_at = now(), in_flight = excluded.in_flight, concurrency = excluded.concurrency,
         pulse = excluded.pulse
)
select extract(epoch from least(
         (select min(available_at) from webhook_events
           where status = 'received' and not suspect
             and available_at > coalesce(%(now)s::timestamptz, now())),
         (select min(available_at) from webhook_events
           where status = 'received' and suspect
             and available_at > coalesce(%(now)s::timestamptz, now()))
       ) - coalesce(%(now)s::timestamptz, now()))::float8 as next_due,
       -- Ordered, or the planner reads the table: it believes that one of so many rows is found soon.
       (select id from webhook_events
         where status = 'received' and not suspect and available_at <= coalesce(%(now)s::timestamptz, now())
         order by available_at, id limit 1) is not null as due,
       (select id from webhook_events
         where status = 'received' and suspect and available_at <= coalesce(%(now)s::timestamptz, now())
         order by available_at, id limit 1) is not null as suspect_due,
       exists (select from in_flight where over) as lease_over,
       exists (select from pollers p
                where p.name <> %(worker)s and p.in_flight > 0
                  and p.beat_at > now() - interval '1 minute') as others_busy,
       array(select p.name from pollers p
              where p.pulse and p.name <> %(worker)s
                and not exists (select from sessions s
                                 where s.application_name = 'c2s-enrich pulse ' || p.name)) as silent,
       exists (select from in_flight where claimed_by = %(suspects)s and not over) as suspect_held
  from set_config('synchronous_commit', 'off', true);

-- name: pollers_leave
-- A poller that ends says so, and one that is dead and holds nothing any more is forgotten; any other after
-- an hour.
delete from pollers where name = any(%(names)s::text[]) or beat_at < now() - interval '1 hour';
