-- Which leads have a phone that cannot be looked up, and why?
select lead_id, name, phone, skipped, seller_name, last_seen_at
  from v_invalid_phones
 order by last_seen_at desc limit 1000;
