-- Which messages are not proven to be delivered?
select message_id, lead_id, ref, status, sends, looks, for_how_long, event_status, error_kind
  from v_messages_open
 order by for_how_long desc;
