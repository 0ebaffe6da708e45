-- Duties that one poller does for all.

-- name: take_turn
-- A row: this process does the duty now, and no other before `every` has passed. By the database's clock, for
-- all pollers. A time to come is of a clock that was wrong, or of somebody who may write here: nobody waits
-- for it.
insert into duties as known (name, began_at) values (%(name)s, clock_timestamp())
on conflict (name) do update
   set began_at = excluded.began_at where known.began_at <= excluded.began_at - %(every)s::interval
                                       or known.began_at > excluded.began_at + interval '1 minute'
returning 1;
