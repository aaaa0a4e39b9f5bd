-- One row per answer to a webhook step: its status. What it said stays in the journal.
select
    seq,
    intent_id,
    person_id,
    campaign,
    enrollment_id,
    step,
    status_code,
    recorded_at
from {{ source('landing', 'responses') }}
