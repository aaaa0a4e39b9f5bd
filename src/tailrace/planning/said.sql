-- One row per marketing message that counts for some limit: what was said before, and what this plan sends.
select
    intent_id,
    person_id,
    campaign,
    class,
    channel,
    topic,
    said_before.at
from said_before
union all
select
    intent_id,
    person_id,
    campaign,
    class,
    channel,
    topic,
    deliver_after as at
from verdicts
where verdict = 'send'
    and class = 'marketing'
    and exists (select 1 from limits)
order by intent_id
