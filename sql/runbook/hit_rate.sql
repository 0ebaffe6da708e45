-- Does a source suddenly know far fewer people?
select source, kind, latest, latest_found, earlier, earlier_found, fell from v_hit_rate order by source, kind;
