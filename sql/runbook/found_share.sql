-- How often does each source know somebody, by DDD?
select ddd, source, kind, answers, found, found_percent from v_found_share order by answers desc;
