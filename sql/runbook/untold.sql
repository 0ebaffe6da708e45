-- Which leads of the last 24 hours got no message, and why?
select e.lead_id, x.cause, x.upstream, x.error_message, e.received_at
  from (select distinct on (lead_id) event_id, lead_id, received_at
          from matching_events('{"since": "-24 hours"}')
         order by lead_id, updated_at desc) e
  join v_explain x on x.event_id = e.event_id
 where x.told_at is null
 order by e.received_at desc
 limit 500;
