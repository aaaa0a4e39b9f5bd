-- One row per message that has to wait for its hours: when they begin next (null: never).
select
    waiting.intent_id,
    openings.opens_at
from waiting
inner join openings on openings.hours_id = waiting.hours_id
