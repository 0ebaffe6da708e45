-- Which deliveries could not be read?
select received_at, id, reason, lead_id, length(raw) as bytes
  from rejected_deliveries
 where replayed_at is null and dismissed_at is null
 order by received_at desc limit 100;
