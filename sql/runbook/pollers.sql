-- Which pollers run, and since when are they silent?
select name, started_at, beat_at, silent_for, in_flight, concurrency, beating, version, metrics
  from v_pollers
 order by beat_at desc;
