-- One row per pass whose message was deferred: the place of the first such message, at which it rests.
select
    enrollment_id,
    campaign,
    min(candidates.position) as position
from candidates
inner join verdicts using (intent_id, enrollment_id, campaign)
where verdicts.verdict = 'defer'
group by enrollment_id, campaign
