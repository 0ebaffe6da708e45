-- Which upstream is paused since when, and what was called today?
select name, paused_since, paused_until, reason, failures, calls_today, daily_budget
  from upstreams
 order by name;
