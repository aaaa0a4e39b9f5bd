-- One row per event, channel and topic of which it says whether somebody wants to be written to, as it was said; append-only.
-- Spoken by a person, for an address, or both; about a channel and a topic, or all of them (''). Incremental by load.
-- Customer.io's words about a whole person (`User Suppressed`) stand here too: they name the person, or the address that is
-- the person's user id there. So do its subscription preferences (macros/preferences.sql).
{{ config(materialized='incremental', tags=['by_load'], pre_hook="{{ forget_events() }}", post_hook="{{ note_loads() }}") }}

with preferring as (
    select
        event_id,
        source,
        load_id,
        attributed_in,
        event_at,
        person_id,
        traits
    from {{ to_be_read(ref('fct_events')) }}
    where type = 'identify'
        and person_id is not null
        and traits like '%cio\_subscription\_preferences%' escape '\'
),

{{ preferences_told('preferring', ['event_id', 'source', 'load_id', 'attributed_in', 'event_at', 'person_id']) }},

said as (
    select
        event_id,
        source,
        load_id,
        attributed_in,
        person_id,
        event_at,
        event as says,
        lower(trim({{ json_text('properties', 'address') }})) as address,
        lower(trim({{ json_text('properties', 'channel') }})) as channel,
        trim({{ json_text('properties', 'topic') }}) as topic,
        lower(trim({{ json_text('properties', 'by') }})) as said_by
    from {{ to_be_read(ref('fct_events')) }}
    where type = 'track'
        and event in ('subscribed', 'unsubscribed', 'suppression_lifted')
)

select
    event_id,
    source,
    load_id,
    attributed_in,
    event_at,
    person_id,
    nullif(address, '') as address,
    coalesce(channel, '') as channel,
    coalesce(topic, '') as topic,
    says,
    -- Only what a person does themself is their own word.
    case
        when person_id is null or coalesce(said_by, 'person') != 'person' then 'import'
        {%- if var('consent_import_sources') %}
        when source in ({{ quoted_ids(var('consent_import_sources')) }}) then 'import'
        {%- endif %}
        else 'own'
    end as kind
from said
where person_id is not null
    or address != ''

union all

select
    event_id,
    source,
    load_id,
    attributed_in,
    event_at,
    person_id,
    null as address,
    '' as channel,
    '' as topic,
    consent as says,
    'trait' as kind
from {{ to_be_read(ref('fct_person_facts')) }}
where consent_about = 'trait'

union all

select
    event_id,
    source,
    load_id,
    attributed_in,
    event_at,
    person_id,
    case when user_id like '%@%' then lower(trim(user_id)) end as address,
    '' as channel,
    '' as topic,
    case event
        when 'User Suppressed' then 'suppressed'
        when 'User Deleted' then 'deleted'
        else 'unsuppressed'
    end as says,
    'import' as kind
from {{ to_be_read(ref('fct_events')) }}
where type = 'track'
    and event in ('User Suppressed', 'User Deleted', 'User Unsuppressed')
    and person_id is not null

union all

select
    event_id,
    source,
    load_id,
    attributed_in,
    event_at,
    person_id,
    null as address,
    channel,
    topic,
    says,
    'import' as kind
from preferences_told
