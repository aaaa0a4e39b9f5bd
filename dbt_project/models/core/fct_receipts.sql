-- One row per receipt of a provider about one message: delivered, opened, clicked, bounced, complained, unsubscribed.
-- A receipt names its message by the property intent_id; whom it was said to, the journal's mirror says, and merges who that is.
-- Incremental by load, like fct_events.
{{ config(
    materialized='incremental', tags=['by_load'], pre_hook=["{{ forget_events() }}", "{{ follow_merges() }}"],
    post_hook="{{ note_loads() }}",
) }}

{%- set channels = ['email', 'sms', 'push'] -%}
{%- set kinds = ['delivered', 'opened', 'clicked', 'bounced', 'complained', 'unsubscribed'] %}

with receipts as (
    select
        event_id,
        source,
        load_id,
        attributed_in,
        person_id,
        event_at,
        event,
        {{ json_text('properties', 'intent_id') }} as intent_id,
        lower(trim({{ json_text('properties', 'address') }})) as address,
        trim({{ json_text('properties', 'topic') }}) as topic,
        lower(trim({{ json_text('properties', 'is_machine') }})) as is_machine,
        lower(trim({{ json_text('properties', 'kind') }})) as hardness
    from {{ to_be_read(ref('fct_events')) }}
    where type = 'track'
        and event in (
            {%- for channel in channels %}{% set first = loop.first %}{% for kind in kinds %}
            {{- ", " if not (first and loop.first) }}'{{ channel }}_{{ kind }}'
            {%- endfor %}{% endfor -%}
        )
)

select
    receipts.event_id,
    receipts.source,
    receipts.load_id,
    receipts.attributed_in,
    receipts.intent_id,
    coalesce(merged.into_person_id, intents.person_id, receipts.person_id) as person_id,
    intents.campaign,
    intents.step,
    case
        {%- for channel in channels %}
        when receipts.event like '{{ channel }}|_%' escape '|' then '{{ channel }}'
        {%- endfor %}
    end as channel,
    case
        {%- for kind in kinds %}
        when receipts.event like '%|_{{ kind }}' escape '|' then '{{ kind }}'
        {%- endfor %}
    end as kind,
    receipts.event_at,
    nullif(receipts.address, '') as address,
    coalesce(receipts.topic, '') as topic,
    coalesce(receipts.is_machine, '') not in ('true', '1', 'yes') as is_human,
    -- A bounce is hard unless it says that it is soft.
    coalesce(receipts.hardness, '') != 'soft' as is_hard,
    intents.person_id as said_to
from receipts
left join {{ ref('stg_landing__intents') }} as intents on receipts.intent_id = intents.intent_id
left join {{ ref('fct_person_merges') }} as merged on intents.person_id = merged.person_id
