-- One row per pass that has missed messages and did not begin: the first of them, and what began the pass.
-- missed: rows of the corrections; told_passes: see the statement of that name; places: each campaign's steps in order.
select
    told_passes.enrollment_id,
    missed.campaign,
    missed.step,
    told_passes.person_id,
    told_passes.occurrence,
    told_passes.entered_at,
    told_passes.due_at,
    told_passes.object_id,
    told_passes.source,
    told_passes.event_id
from missed
inner join told_passes on told_passes.intent_id = missed.missed_intent_id
left join places on places.campaign = missed.campaign and places.step = missed.step
where missed.kind = 'missed'
    and ($campaign is null or missed.campaign = $campaign)
    and ($step is null or missed.step = $step)
qualify row_number() over (
    partition by told_passes.enrollment_id
    order by missed.should_have_gone_at, places.position, missed.missed_intent_id
) = 1
order by missed.campaign, missed.step, told_passes.due_at, told_passes.enrollment_id
