-- One row per `group` call by as_of about an object, since it was last deleted: by event time, then event id and source.

with calls as (
    select
        object,
        object_id,
        person_id,
        is_member,
        relationship,
        is_deletion,
        event_at,
        event_id,
        source,
        traits
    from {{ ref('fct_group_calls') }}
    where event_at <= {{ as_of() }}
),

deleted as (
    select
        object,
        object_id,
        event_at as deleted_at,
        event_id as deleted_by,
        source as deleted_in,
        row_number() over (
            partition by object, object_id
            order by event_at desc, event_id desc, source desc
        ) as nth
    from calls
    where is_deletion
)

select
    calls.object,
    calls.object_id,
    calls.person_id,
    calls.is_member,
    calls.relationship,
    calls.event_at,
    calls.event_id,
    calls.source,
    calls.traits
from calls
left join deleted on calls.object = deleted.object and calls.object_id = deleted.object_id and deleted.nth = 1
where not calls.is_deletion
    and (
        deleted.deleted_at is null
        or calls.event_at > deleted.deleted_at
        or (calls.event_at = deleted.deleted_at and calls.event_id > deleted.deleted_by)
        or (calls.event_at = deleted.deleted_at and calls.event_id = deleted.deleted_by and calls.source > deleted.deleted_in)
    )
