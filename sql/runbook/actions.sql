-- What did people do, from where, to how many events?
select at, actor, via, verb, filter, reason, planned, done, skipped, state
  from operator_actions
 order by at desc limit 200;
