-- One row per message or action that a plan meant to send.
select
    seq,
    intent_id,
    campaign,
    version,
    step,
    person_id,
    channel,
    message,
    class,
    applied_at
from {{ source('landing', 'intents') }}
