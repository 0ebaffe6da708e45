-- Every COMMIT waits until the standby has it, so that a promotion loses none.
alter system set synchronous_standby_names = '*';
