-- Which database this is, and when it went back in time.

-- name: check_key
-- The first start writes the check value, a rotation replaces it. No row: neither of our keys made it.
insert into hash_key as k (check_value) values (%(current)s)
on conflict (only_row) do update
   set check_value = excluded.check_value, since = clock_timestamp()
 where k.check_value = any(%(ours)s::text[])
returning check_value;

-- name: notice_restore
-- From here on nothing is sent before it was looked up that may have been sent before the restore. What waits
-- is an unclear send now: after the settle time it is looked up twice, like any other. Answers whether that
-- is news, and how many wait.
with noticed as (
  insert into restores (why, identity, since)
  select %(why)s, coalesce(%(identity)s, (database_state()).identity), %(since)s::timestamptz
   where %(why)s not in ('first_start', 'identity')
      or (select r.identity from restores r order by r.id desc limit 1) is distinct from %(identity)s
  returning noticed_at
), marked as (
  update lead_messages m
     set status = 'sending', sending_at = n.noticed_at, looks = 0
    from noticed n
   where m.status = 'pending' and %(why)s <> 'first_start'
  returning 1
)
select exists (select from noticed) as noticed, (select count(*) from marked) as messages;
