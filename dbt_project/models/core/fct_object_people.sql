-- One row per object and person who belongs to it at as_of, by their last `group` call about it, with what is said of the two.
-- `attributes` is one JSON text: of each key of `relationship` what was said last, unless that is null or empty. Who left and
-- came back begins anew, and so does everybody whose object was deleted.
with calls as (
    select
        object,
        object_id,
        person_id,
        is_member,
        relationship,
        event_at,
        event_id,
        source,
        row_number() over (
            partition by object, object_id, person_id
            order by event_at, event_id, source
        ) as nth
    from {{ ref('int_group_calls_as_of') }}
    where person_id is not null
),

since_they_left as (
    select
        *,
        max(case when is_member then 0 else nth end) over (partition by object, object_id, person_id) as left_at_nth
    from calls
),

current_calls as (
    select
        object,
        object_id,
        person_id,
        relationship,
        event_at,
        event_id,
        source
    from since_they_left
    where nth > left_at_nth
),

told as (
    {{ json_entries('current_calls', ['object', 'object_id', 'person_id', 'event_at', 'event_id', 'source'], 'relationship') }}
),

latest as (
    select
        object,
        object_id,
        person_id,
        key,
        value,
        row_number() over (
            partition by object, object_id, person_id, key
            order by event_at desc, event_id desc, source desc
        ) as nth
    from told
),

attributes as (
    select
        object,
        object_id,
        person_id,
        {{ json_object_of('key', 'value') }} as attributes
    from latest
    where nth = 1
        and value not in ('null', '""')
    group by object, object_id, person_id
),

belongs as (
    select
        object,
        object_id,
        person_id,
        min(event_at) as belongs_since
    from current_calls
    group by object, object_id, person_id
)

select
    belongs.object,
    belongs.object_id,
    belongs.person_id,
    belongs.belongs_since,
    coalesce(attributes.attributes, '{}') as attributes
from belongs
left join attributes
    on belongs.object = attributes.object
        and belongs.object_id = attributes.object_id
        and belongs.person_id = attributes.person_id
order by belongs.object, belongs.object_id, belongs.person_id
