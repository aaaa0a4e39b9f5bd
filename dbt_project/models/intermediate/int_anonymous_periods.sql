-- One row per anonymous id and period in which its events belong to one person: after started_at, up to and with ended_at.
-- They are the person's who is identified next on it; after the last time, those of the one before. Null is no bound.
{{ config(materialized='view', tags=['by_load']) }}

with links as (
    select
        anonymous_id,
        user_id,
        event_at,
        lag(event_at) over in_order as started_at,
        row_number() over (
            partition by anonymous_id
            order by event_at desc, event_id desc, source desc, user_id desc
        ) as nth_last
    from {{ ref('fct_identity_links') }}
    window in_order as (partition by anonymous_id order by event_at, event_id, source, user_id)
)

select
    anonymous_id,
    user_id,
    started_at,
    case when nth_last > 1 then event_at end as ended_at
from links
-- Of several at one moment the first one is the next, and the last one is the one before.
where nth_last = 1
    or started_at is null
    or started_at < event_at
