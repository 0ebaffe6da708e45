-- What was paid for, by day, source and kind?
select day, source, kind, answers, found, perhaps_paid
  from v_spend where day > current_date - 31
 order by day desc, source, kind;
