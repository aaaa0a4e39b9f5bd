-- One row per user id that did in the last weeks what the trigger asks for: as the warehouse attributes it, under an anonymous id
-- or one that was given up, too (docs/identity.md).
with happened as (
    select nullif(user_id, '') as user_id, anonymous_id, event_at
    from read_parquet([{files}]) as happened
    where happened.type = 'track' and happened.event = $event
        and happened.event_at > $usual and happened.event_at <= $as_of and happened.landed_at <= $as_of
        and ({where})
),
-- Whoever is identified next on the anonymous id, or else was identified on it last.
on_devices as (
    select
        coalesce(
            arg_min(links.user_id, (links.event_at, links.event_id, links.source, links.user_id))
                filter (links.event_at >= happened.event_at),
            arg_max(links.user_id, (links.event_at, links.event_id, links.source, links.user_id))
        ) as user_id
    from (select distinct anonymous_id, event_at from happened where user_id is null) as happened
    inner join core.fct_identity_links as links on happened.anonymous_id = links.anonymous_id
    group by happened.anonymous_id, happened.event_at
),
started as (
    select user_id from happened where user_id is not null
    union
    select user_id from on_devices
)
select distinct coalesce(merges.into_user_id, started.user_id) as user_id
from started
left join core.fct_person_merges as merges on started.user_id = merges.user_id
