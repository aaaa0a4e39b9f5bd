-- One row per receipt of a provider about one message: delivered, opened, clicked, bounced, complained, unsubscribed.
-- A receipt names its message by the property intent_id; whom it was said to, the journal's mirror says, and merges who that is.
-- Incremental by load, like fct_events.
{{ config(
    materialized='incremental', tags=['by_load'], pre_hook=["{{ forget_events() }}", "{{ follow_merges() }}"],
    post_hook="{{ note_loads() }}",
) }}

{%- set channels = ['email', 'sms', 'whatsapp', 'push'] -%}
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
        case
            {%- for channel in channels %}
            when event like '{{ channel }}|_%' escape '|' then '{{ channel }}'
            {%- endfor %}
        end as channel,
        {{ json_text('properties', 'intent_id') }} as intent_id,
        lower(trim({{ json_text('properties', 'address') }})) as address,
        trim({{ json_text('properties', 'topic') }}) as topic,
        lower(trim({{ json_text('properties', 'is_machine') }})) as is_machine,
        lower(trim({{ json_text('properties', 'kind') }})) as hardness,
        replace(lower(trim({{ json_text('properties', 'code') }})), 'twilio_', '') as code
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
    receipts.channel,
    case
        {%- for kind in kinds %}
        when receipts.event like '%|_{{ kind }}' escape '|' then '{{ kind }}'
        {%- endfor %}
    end as kind,
    receipts.event_at,
    nullif(receipts.address, '') as address,
    coalesce(receipts.topic, '') as topic,
    coalesce(receipts.is_machine, '') not in ('true', '1', 'yes') as is_human,
    -- A bounce is hard unless it says that it is soft, or its code of Twilio says something else than that the number is dead
    -- (no number, none that gets texts, nobody's, a landline, not on WhatsApp): the phone is off, or the carrier filters.
    case
        when receipts.hardness in ('soft', 'hard') then receipts.hardness = 'hard'
        when receipts.channel in ('sms', 'whatsapp') and receipts.code like '_____'
            then receipts.code in ('21211', '21614', '30005', '30006', '63024')
        else true
    end as is_hard,
    intents.person_id as said_to
from receipts
left join {{ ref('stg_landing__intents') }} as intents on receipts.intent_id = intents.intent_id
left join {{ ref('fct_person_merges') }} as merged on intents.person_id = merged.person_id
