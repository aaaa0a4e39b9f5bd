-- One row per object and person who belongs to it at as_of, by their last `group` call about it.
with calls as (
    select
        object,
        object_id,
        person_id,
        is_member,
        event_at,
        min(event_at) over (partition by object, object_id, person_id) as first_event_at,
        row_number() over (
            partition by object, object_id, person_id
            order by event_at desc, event_id desc, source desc
        ) as nth
    from {{ ref('fct_group_calls') }}
    where person_id is not null
        and event_at <= {{ as_of() }}
)

select
    object,
    object_id,
    person_id,
    first_event_at as belongs_since
from calls
where nth = 1
    and is_member
order by object, object_id, person_id
