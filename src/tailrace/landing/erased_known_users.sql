-- grain: one row per user id of the events that is of somebody who was erased
select said as user_id
from (
    select distinct unnest([user_id, previous_id]) as said
    from {events}
) as told
where said is not null
    and erased_hash('user', said) in (select hash from erased_users)
