-- One row per attribute or manual segment of a person that a step of a campaign changed.
-- A value is text here, whatever its type was; null when it was cleared.
select
    seq,
    intent_id,
    plan_id,
    person_id,
    campaign,
    step,
    kind,
    name,
    {{ json_value('value') }} as value,
    acted_at
from {{ source('landing', 'acts') }}
