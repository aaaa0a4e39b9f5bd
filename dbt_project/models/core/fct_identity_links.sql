-- One row per call that says whose an id is: an identify with both ids, or an alias (of an anonymous id, or of a user id).
-- Nothing else links: two people who use one device are not one person. Incremental by load.
{{ config(materialized='incremental', tags=['by_load'], pre_hook="{{ forget_loads() }}", post_hook="{{ note_loads() }}") }}

select
    event_id,
    source,
    load_id,
    event_at,
    case when type = 'alias' then previous_id else anonymous_id end as anonymous_id,
    user_id,
    type = 'alias' as is_alias
from {{ ref('stg_landing__events') }}
where user_id is not null
    and (
        (type = 'identify' and anonymous_id is not null)
        or (type = 'alias' and previous_id is not null)
    )
    and {{ is_in_new_load() }}
