-- One row per verdict of the campaign, in order of time. People are keys.
select
    as_of,
    person_id,
    enrollment_id,
    version,
    step,
    message,
    channel,
    verdict,
    reason,
    due_at,
    deliver_after,
    intent_id
from verdicts
order by as_of, person_id, step, intent_id
