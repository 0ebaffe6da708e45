-- What failed, in groups of one error each?
select error_group, events, leads, newest_at, error_kind, error_step, muted_since,
       newest_message
  from v_failures
 order by events desc;
