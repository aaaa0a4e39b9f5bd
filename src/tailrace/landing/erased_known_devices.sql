-- grain: one row per anonymous id of the events and time in which it was of somebody who was erased
select told.anonymous_id, devices.since, devices.until
from (
    select distinct anonymous_id
    from {events}
    where user_id is null
        and anonymous_id is not null
) as told
inner join erased_devices as devices on devices.hash = erased_hash('anonymous', told.anonymous_id)
