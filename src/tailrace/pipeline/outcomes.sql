-- One row per campaign, step and word: how many messages stand where. `waiting`: no outcome that ends it yet.
with latest as (
    select
        intent_id,
        outcome,
        row_number() over (partition by intent_id order by seq desc) as recency
    from outcomes
)

select
    intents.campaign,
    intents.step,
    case when latest.outcome is null or latest.outcome in ('retry_later', 'blocked') then 'waiting' else latest.outcome end
        as outcome,
    count(*) as n
from intents
left join latest on latest.intent_id = intents.intent_id and latest.recency = 1
group by all
order by all
