-- Why do the events that are not done stand where they stand?
select cause, upstream, count(*) as events, min(received_at) as oldest_at
  from v_explain
 where event_id in (select id from webhook_events where status = 'received' order by available_at limit 1000)
 group by cause, upstream order by events desc;
