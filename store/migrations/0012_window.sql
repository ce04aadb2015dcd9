-- A wider window for new towns. The broker sends the next messages while a transaction is under
-- way, so a window is what one can hold at the most: with 1000 a queue drained half as fast. Towns
-- that are there keep theirs, which is frozen with their sessions.
alter table broker_account alter column window_messages set default 8000;
