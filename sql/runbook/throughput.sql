-- How much was settled in the last day, and how fast?
select five_minutes, completed, failed, median_seconds, p95_seconds
  from v_throughput
 order by five_minutes desc;
