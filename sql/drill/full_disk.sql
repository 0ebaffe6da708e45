-- The drill's full disk: while a session holds the lock 53100, whatever the processes write for an event
-- fails with what Postgres says where a file cannot grow.

create function drill_full_disk() returns trigger language plpgsql as $$
begin
  if exists (select from pg_locks where locktype = 'advisory' and objid = 53100 and granted) then
    raise exception using errcode = 'disk_full',
                          message = 'could not extend file: No space left on device';
  end if;
  return null;
end
$$;

create trigger drill_full_disk before insert or update on webhook_events
  for each statement execute function drill_full_disk();
create trigger drill_full_disk before insert or update on event_attempts
  for each statement execute function drill_full_disk();
create trigger drill_full_disk before insert or update on lead_messages
  for each statement execute function drill_full_disk();
create trigger drill_full_disk before insert or update on contact_lookups
  for each statement execute function drill_full_disk();
