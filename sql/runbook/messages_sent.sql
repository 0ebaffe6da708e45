-- The log of sent messages, newest first.
select sent_at, lead_id, seller_name, ref, proof, sends from v_messages_sent order by sent_at desc limit 1000;
