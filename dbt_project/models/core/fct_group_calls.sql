-- One row per `group` call: what somebody said about an object (an account), and whether its person belongs to it, and how.
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
        coalesce(nullif(trim({{ json_text('traits', 'object') }}), ''), '{{ var("objects")[0] }}') as object,
        group_id as object_id,
        lower(trim({{ json_text('traits', 'is_member') }})) as is_member,
        coalesce({{ json_text('traits', 'relationship') }}, {{ json_text('traits', 'relationshipAttributes') }}) as relationship,
        traits
    from {{ to_be_read(ref('fct_events')) }}
    where type = 'group'
        and group_id is not null
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
    traits
from calls
