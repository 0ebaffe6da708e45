-- Which leads bring many events?
select lead_id, count(*) as events, min(received_at) as first_at, max(received_at) as newest_at
  from webhook_events where received_at > now() - interval '24 hours'
 group by lead_id having count(*) > 3 order by events desc limit 100;
