-- One row per act of an applied plan after $after, oldest first. It holds from its plan's as_of on.
select
    acts.seq,
    acts.intent_id,
    acts.plan_id,
    acts.person_id,
    acts.campaign,
    acts.step,
    acts.kind,
    acts.name,
    acts.value,
    plans.as_of as acted_at
from acts
inner join plans on plans.plan_id = acts.plan_id
where acts.seq > $after
order by acts.seq
