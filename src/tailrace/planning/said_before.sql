-- One row per marketing message that was said, or is on its way, and still counts for some limit.
select
    said.intent_id,
    said.person_id,
    said.campaign,
    said.class,
    said.channel,
    said.topic,
    said.at
from {said} as said
where said.at > $as_of - to_seconds($longest::bigint)
    and not exists (
        select 1 from outcomes_since
        where outcomes_since.intent_id = said.intent_id
            and list_contains($taken_back::varchar[], outcomes_since.outcome)
    )
