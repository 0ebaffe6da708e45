-- What waits, for whom, why, and since when?
select status, waiting_for, waiting_reason, events, due, oldest_due_for, next_due_at
  from v_queue
 order by events desc;
