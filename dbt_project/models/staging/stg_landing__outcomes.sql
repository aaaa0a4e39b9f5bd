-- One row per outcome of a message or action.
select
    seq,
    intent_id,
    attempt,
    outcome,
    recorded_at
from {{ source('landing', 'outcomes') }}
