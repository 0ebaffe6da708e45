-- Leads of the last 30 days by seller: received, told, minutes to the first message.
select seller, leads, told, told_percent, median_minutes from v_leads_by_seller order by leads desc;
