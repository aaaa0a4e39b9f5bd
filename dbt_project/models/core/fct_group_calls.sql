-- One row per `group` call: what somebody said about an object (an account), and whether its person belongs to it, and how; and
-- one per `Object Deleted` that names no person (`is_deletion`), as a deletion at Customer.io lands. An app's own event does.
-- The last call of a person about an object counts; `is_member: false` in its traits ends the belonging. Incremental by load.
-- `relationship` is JSON text, null when it is no object: in traits that, or `relationshipAttributes`, as Customer.io says.
{{ config(materialized='incremental', tags=['by_load'], pre_hook="{{ forget_events() }}", post_hook="{{ note_loads() }}") }}

with calls as (
    select
        event_id,
        source,
        load_id,
        attributed_in,
        event_at,
        person_id,
        coalesce(
            nullif(trim({{ json_text('traits', 'object') }}), ''),
            case when type = 'track' then nullif(trim({{ json_text('properties', 'object') }}), '') end,
            {{ object_of_type(json_text('traits', 'object_type_id')) }},
            '{{ var("objects")[0] }}'
        ) as object,
        group_id as object_id,
        lower(trim({{ json_text('traits', 'is_member') }})) as is_member,
        coalesce({{ json_text('traits', 'relationship') }}, {{ json_text('traits', 'relationshipAttributes') }}) as relationship,
        type = 'track' as is_deletion,
        traits
    from {{ to_be_read(ref('fct_events')) }}
    where group_id is not null
        and (type = 'group' or (type = 'track' and event = 'Object Deleted' and {{ is_object_call() }}))
)

select
    event_id,
    source,
    load_id,
    attributed_in,
    event_at,
    person_id,
    object,
    object_id,
    coalesce(is_member, 'true') not in ('false', 'no', '0') as is_member,
    case when substr(relationship, 1, 1) = '{' then relationship end as relationship,
    is_deletion,
    traits
from calls
