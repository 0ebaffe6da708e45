-- What only pages show. Each statement reads an hour, a day or some thousand rows, never the table.

-- name: minutes
-- One row for each of the last 60 minutes, oldest first; what ended is counted among the newest 10,000.
select m.minute, coalesce(i.delivered, 0) as arrived, coalesce(e.ended, 0)::integer as ended,
       coalesce(e.failed, 0)::integer as failed
  from generate_series(date_trunc('minute', now()) - interval '59 minutes', now(),
                       interval '1 minute') as m (minute)
  left join intake_minutes i using (minute)
  left join (select date_trunc('minute', processed_at) as minute, count(*) as ended,
                    count(*) filter (where status = 'failed') as failed
               from (select status, processed_at from webhook_events
                      where status in ('completed', 'failed') and processed_at > now() - interval '1 hour'
                      order by processed_at desc limit 10000) newest
              group by 1) e using (minute)
 order by m.minute;

-- name: numbers
-- One row. Percentiles are seconds from the webhook to the message, of the last hour; null where nobody was
-- told. failed_day ends at 10,001.
select told.median, told.p95,
       (select count(*) from (select from webhook_events
                               where status = 'failed' and received_at > now() - interval '24 hours'
                               limit 10001) failed)::integer as failed_day,
       (select coalesce(sum(concurrency), 0) from v_pollers where beating)::integer as slots
  from (select percentile_cont(0.5) within group (order by seconds) as median,
               percentile_cont(0.95) within group (order by seconds) as p95
          from (select extract(epoch from processed_at - received_at)::float8 as seconds, outcome
                  from webhook_events
                 where status in ('completed', 'failed') and processed_at > now() - interval '1 hour'
                 order by processed_at desc limit 10000) newest
         where outcome in ('enriched', 'partial')) told;

-- name: calls
-- Calls of the last hour's attempts, at most 5,000 of them, by upstream; percentiles are ms.
select c.upstream, count(*)::integer as calls, count(*) filter (where c.result <> 'ok')::integer as failed,
       percentile_cont(0.5) within group (order by c.ms) as median,
       percentile_cont(0.95) within group (order by c.ms) as p95
  from (select calls from event_attempts where finished_at > now() - interval '1 hour'
         order by finished_at desc limit 5000) newest
  cross join jsonb_to_recordset(newest.calls) as c (upstream text, result text, ms float8)
 group by c.upstream;

-- name: pollers
-- Those that beat last; what their newest 10,000 attempts of an hour came to.
select p.name, p.version, p.started_at, p.beat_at, p.beating, p.in_flight, p.concurrency,
       coalesce(a.ended, 0)::integer as ended, coalesce(a.lost, 0)::integer as lost
  from v_pollers p
  left join (select worker, count(*) filter (where result in ('completed', 'failed')) as ended,
                    count(*) filter (where result = 'worker_lost') as lost
               from (select worker, result from event_attempts
                      where finished_at > now() - interval '1 hour'
                      order by finished_at desc limit 10000) newest
              group by worker) a on a.worker = p.name
 order by p.beat_at desc
 limit 200;
