-- One row per message or action that a destination accepted.
-- Incremental by the journal's own row number: its mirror is only ever appended to. The journal knows whom it was said to; who
-- that is now, merges say.
{{ config(materialized='incremental', pre_hook="{{ follow_merges() }}") }}

select
    outcomes.seq,
    outcomes.intent_id,
    coalesce(merged.into_person_id, intents.person_id) as person_id,
    intents.campaign,
    intents.version,
    intents.step,
    intents.channel,
    intents.message,
    intents.class,
    outcomes.recorded_at as sent_at,
    intents.person_id as said_to
from {{ ref('stg_landing__outcomes') }} as outcomes
inner join {{ ref('stg_landing__intents') }} as intents on outcomes.intent_id = intents.intent_id
left join {{ ref('fct_person_merges') }} as merged on intents.person_id = merged.person_id
where outcomes.outcome = 'accepted'
    {%- if is_incremental() %}
    and outcomes.seq > (
        select coalesce(max(held.seq), 0)
        from {{ this }} as held
    )
    {%- endif %}
