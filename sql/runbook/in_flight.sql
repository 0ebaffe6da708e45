-- What is worked on now, and does it hang?
select event_id, lead_id, claimed_by, claimed_at, lease_left, stuck from v_in_flight order by claimed_at;
