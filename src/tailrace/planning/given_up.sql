-- One row: how many user ids that were people of their own in the parent plan are another's since.
-- An id whose first word came after the parent, in the load that gave it up perhaps, was nobody there.
select count(distinct merges.user_id)
from wh.core.fct_events as events
inner join wh.core.fct_person_merges as merges on merges.user_id = events.user_id
where events.event_at <= $as_of
    and events.load_seq not in (select new_loads.load_seq from new_loads)
    and merges.person_id not in (select before.person_id from {before} as before)
