-- Duties that one poller does for all.

-- name: take_turn
-- A row: this process does the duty now, and no other before `every` has passed. By the database's clock, for
-- all pollers.
insert into duties as known (name, began_at) values (%(name)s, clock_timestamp())
on conflict (name) do update
   set began_at = excluded.began_at where known.began_at <= excluded.began_at - %(every)s::interval
returning 1;
