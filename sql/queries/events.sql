-- What an operator does with events and messages from the command line or the console.
-- The filters are fixed and optional: a null one is not applied.

-- name: list_events
-- Newest first.
select id, lead_id, status, outcome, attempts, max_attempts, hook_action, received_at, processed_at,
       available_at, waiting_for, error_kind, error_message
  from webhook_events
 where (%(status)s::text is null or status = %(status)s)
   and (%(lead_id)s::text is null or lead_id = %(lead_id)s)
   and (%(error_kind)s::text is null or error_kind = %(error_kind)s)
   and (%(since)s::interval is null or received_at >= now() - %(since)s::interval)
 order by received_at desc, id
 limit %(limit)s::integer;

-- name: event_history
-- Every claim of one event that has ended, oldest first.
select attempt, worker, started_at, finished_at, result, outcome, error_kind, error_message, steps, calls
  from event_attempts where event_id = %(event_id)s order by started_at, lease_token;

-- name: reprocess
-- The operator's own command with filters: the trigger on the table does the rest.
update webhook_events set status = 'received'
 where (%(ids)s::uuid[] is null or id = any(%(ids)s))
   and (%(lead_id)s::text is null or lead_id = %(lead_id)s)
   and (%(status)s::text is null or status = %(status)s)
   and (%(error_kind)s::text is null or error_kind = %(error_kind)s)
   and (%(since)s::interval is null or received_at >= now() - %(since)s::interval)
returning lead_id;

-- name: open_messages
-- Messages that are not proven to be delivered, with the event that waits for each; oldest first.
select m.id, m.lead_id, m.ref, m.status, m.sends, m.looks, m.created_at, m.sending_at, e.id, e.status,
       e.error_kind
  from lead_messages m left join webhook_events e on e.id = m.event_id
 where m.status <> 'sent'
 order by m.created_at;

-- name: judge_not_delivered
-- A person looked at the lead: the message is not there. It may be sent (again) when its event is
-- reprocessed.
update lead_messages
   set status = 'pending', sends = 0, looks = 0
 where id = %(message_id)s and status = 'sending' returning event_id;

-- name: judge_delivered
-- A person looked at the lead: the message is there.
update lead_messages
   set status = 'sent', sending_at = coalesce(sending_at, now()), sent_at = now(), proof = 'person'
 where id = %(message_id)s and status <> 'sent'
returning event_id;
