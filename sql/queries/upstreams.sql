-- What all pollers share about the services they call: pauses, the next free slot of a rate limit, the day's
-- paid calls.
--
-- One row per upstream. A pause is `paused_until is not null`, and it outlives that time: it ends only when
-- one call, the probe, has come back well. `probing_until` is the probe's own mark (nobody else may call
-- before it) and also its fence: a probe settles only the row that still carries its mark. %(now)s is null in
-- production; the database is the clock.

-- name: configure
-- Writes the settings' rate limit and budget of one upstream, and nothing where they stand there already.
insert into upstreams (name, min_interval, daily_budget, usual_budget)
values (%(name)s, %(min_interval)s, %(daily_budget)s, %(daily_budget)s)
on conflict (name) do update
   set min_interval = excluded.min_interval, daily_budget = excluded.daily_budget,
       usual_budget = excluded.usual_budget, changed_at = clock_timestamp()
 where (upstreams.min_interval, upstreams.usual_budget)
       is distinct from (excluded.min_interval, excluded.usual_budget);

-- name: admit
-- May one call go out? See the function.
select decision, wait, why, failed, probe
  from admit_call(%(name)s, %(slot_wait)s::interval, %(probe_lease)s::interval, %(now)s::timestamptz);

-- name: give_up_slot
-- After a wait in memory: a pause has begun meanwhile, so the call does not go out and its paid call is given
-- back. The slot is not: later ones may already be promised behind it.
update upstreams
   set calls_today = greatest(calls_today - 1, 0)
 where name = %(name)s and paused_until is not null
returning greatest(interval '1 second',
                   paused_until - coalesce(%(now)s::timestamptz, clock_timestamp())) as wait, reason;

-- name: forget_failures
-- A call came back well: the row of failures is broken. Says nothing about a pause; only its probe may end
-- that.
update upstreams set failures = 0, changed_at = clock_timestamp()
 where name = %(name)s and failures > 0 and paused_until is null;

-- name: end_pause
-- The probe came back well. No row: a person or a longer pause came in between, and stays.
update upstreams
   set paused_until = null, paused_since = null, reason = null, probing_until = null, failures = 0,
       pauses = 0, changed_at = clock_timestamp()
 where name = %(name)s and probing_until = %(probing_until)s
returning name;

-- name: throttle
-- The upstream named a wait. Never shortens a pause that is longer, and leaves that its reason; frees the
-- probe's mark so that the next one can follow.
update upstreams
   set paused_until = greatest(paused_until,
                               coalesce(%(now)s::timestamptz, clock_timestamp()) + %(retry_after)s::interval),
       paused_since = coalesce(paused_since, %(now)s::timestamptz, clock_timestamp()),
       reason = case
         when paused_until > coalesce(%(now)s::timestamptz, clock_timestamp()) + %(retry_after)s::interval
           then reason
         else %(reason)s
       end,
       probing_until = nullif(probing_until, %(probing_until)s::timestamptz),
       changed_at = clock_timestamp()
 where name = %(name)s;

-- name: count_failure
-- One more failure in a row; the %(breaker)s-th opens a pause, and so does a failed probe. Each pause without
-- a recovery between doubles, up to its cap. Calls that were under way when the pause began count, but do not
-- make it longer.
with held as materialized (
  select name, pauses,
         coalesce(%(now)s::timestamptz, clock_timestamp()) as t,
         case when paused_until is null then failures + 1 >= %(breaker)s
              else coalesce(probing_until = %(probing_until)s::timestamptz, false) end as opens
    from upstreams where name = %(name)s
     for update
), opened as (
  select name, t, t + least(%(first)s::interval * power(2, least(pauses, 20)), %(cap)s::interval) as until
    from held where opens
)
update upstreams u
   set failures = u.failures + 1,
       pauses = case when o.name is null then u.pauses else u.pauses + 1 end,
       paused_until = coalesce(o.until, u.paused_until),
       paused_since = coalesce(u.paused_since, o.t),
       reason = case when o.name is null then u.reason else %(reason)s end,
       probing_until = case when o.name is null then u.probing_until end,
       changed_at = h.t
  from held h left join opened o using (name)
 where u.name = h.name
returning o.until - o.t as pause;

-- name: wake_events
-- Makes one batch of the events that waited for an upstream due, oldest delivery first in the claim's order.
-- Events that are due already need nothing, which also keeps a second batch from walking over the first.
with waiting as materialized (
  select id from webhook_events
   where status = 'received' and waiting_for = %(name)s
     and available_at > coalesce(%(now)s::timestamptz, clock_timestamp())
   order by available_at, id limit %(batch)s
     for update skip locked
)
update webhook_events e
   set available_at = e.received_at, waiting_for = null, waiting_reason = null
  from waiting w where e.id = w.id;

-- name: announce
-- One hint for all pollers; not one a row, because NOTIFY takes a lock of the whole database at COMMIT.
select pg_notify('webhook_events', '');

-- name: pause
-- By hand. Takes the probe's mark away, so that a probe under way cannot end this pause.
update upstreams
   set paused_until = coalesce(%(now)s::timestamptz, clock_timestamp()) + %(length)s::interval,
       paused_since = coalesce(paused_since, %(now)s::timestamptz, clock_timestamp()), reason = %(reason)s,
       probing_until = null,
       changed_at = clock_timestamp()
 where name = %(name)s
returning name;

-- name: resume
-- By hand: the next call goes out at once, also where a clock that ran ahead left the next slot far away.
update upstreams
   set next_slot_at = least(next_slot_at, clock_timestamp() + min_interval), paused_until = null,
       paused_since = null, reason = null, probing_until = null, failures = 0,
       pauses = 0, changed_at = clock_timestamp()
 where name = %(name)s
returning name;

-- name: budget
-- By hand, for today only.
update upstreams u
   set daily_budget = %(calls)s, changed_at = d.t, budget_day = d.today,
       calls_today = case when u.budget_day = d.today then u.calls_today else 0 end
  from (select t, (t at time zone 'America/Sao_Paulo')::date as today
          from (select coalesce(%(now)s::timestamptz, clock_timestamp()) as t) clock) d
 where u.name = %(name)s
returning u.name;

-- name: all
-- Every upstream, for /health, the console and the command line.
select name, paused_until, paused_since,
       case when paused_until is not null
            then greatest(extract(epoch from paused_until - clock_timestamp()), 0)::float8 end,
       reason, coalesce(probing_until > clock_timestamp(), false),
       failures, extract(epoch from min_interval)::float8, daily_budget,
       case when budget_day = (clock_timestamp() at time zone 'America/Sao_Paulo')::date then calls_today
            else 0 end
  from upstreams order by name;
