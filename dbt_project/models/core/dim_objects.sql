-- One row per object (account) known at as_of, with its attributes as one JSON text: of each key what was said last, unless
-- that is null or empty. By event time, then event id and source, so the order of files and rows cannot matter. What a call says
-- of its kind, of whether its person belongs, and of the two, is no attribute of the object. One that was deleted is back once it
-- is spoken of.
with calls as (
    select
        object,
        object_id,
        event_at,
        event_id,
        source,
        traits
    from {{ ref('int_group_calls_as_of') }}
),

told as (
    {{ json_entries('calls', ['object', 'object_id', 'event_at', 'event_id', 'source'], 'traits') }}
),

latest as (
    select
        object,
        object_id,
        key,
        value,
        row_number() over (
            partition by object, object_id, key
            order by event_at desc, event_id desc, source desc
        ) as nth
    from told
    where key not in ('object', 'object_type_id', 'is_member', 'relationship', 'relationshipAttributes')
),

attributes as (
    select
        object,
        object_id,
        {{ json_object_of('key', 'value') }} as attributes
    from latest
    where nth = 1
        and value not in ('null', '""')
    group by object, object_id
),

known as (
    select
        object,
        object_id,
        min(event_at) as first_seen_at
    from calls
    group by object, object_id
)

select
    known.object,
    known.object_id,
    coalesce(attributes.attributes, '{}') as attributes,
    known.first_seen_at
from known
left join attributes on known.object = attributes.object and known.object_id = attributes.object_id
order by known.object, known.object_id
