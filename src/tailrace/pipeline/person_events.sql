-- One row per event of the person, among the landed events that the plan saw: their own, those of the user ids that the plan
-- knew to be theirs, and those of the anonymous ids of all of these (docs/identity.md), as the warehouse attributes them.
with keys as (
    select {person} as key
    union
    select person_id
    from {merges} as merges
    where into_person_id = {person}
),

seen as (
    select
        *,
        ('0x' || substr(md5(nullif(user_id, '')), 1, 15))::bigint as key
    from {landed}
    where load_id in ({loads})
),

links as (
    select
        event_id,
        source,
        event_at,
        user_id,
        key,
        nullif(case when type = 'alias' then previous_id else anonymous_id end, '') as device
    from seen
    where type in ('identify', 'alias') and key is not null
),

on_devices as (
    select
        seen.*,
        coalesce(
            arg_min(links.key, (links.event_at, links.event_id, links.source, links.user_id))
                filter (links.event_at >= seen.event_at),
            arg_max(links.key, (links.event_at, links.event_id, links.source, links.user_id))
        ) as whose
    from seen
    inner join links on links.device = seen.anonymous_id
    where seen.key is null
        and seen.anonymous_id in (select device from links where key in (select key from keys))
    group by all
)

select {columns} from seen where key in (select key from keys)
union all
select {columns} from on_devices where whose in (select key from keys)
