-- grain: one row per address of the events that is of somebody who was erased
select said as address
from (
    select distinct unnest(erased_inboxes(properties, traits, context)) as said
    from {events}
) as told
where erased_hash('address', said) in (select hash from erased_addresses)
