-- One row per person and message that would have gone, or did, otherwise than it did or would have.
-- told: what the runs say with the history in time; otherwise: what they say without; both with `as_of`.
with latest as (
    select
        intent_id,
        outcome
    from was_outcomes
    qualify row_number() over (partition by intent_id order by seq desc) = 1
),

really as (
    select
        was.intent_id,
        case
            when latest.outcome is null or latest.outcome in ('retry_later', 'blocked') then 'waiting'
            else latest.outcome
        end as standing
    from was_intents as was
    left join latest on latest.intent_id = was.intent_id
),

missed as (
    select told.*
    from told
    where not exists (select 1 from otherwise where otherwise.intent_id = told.intent_id)
        and not exists (select 1 from really where really.intent_id = told.intent_id)
),

unwanted as (
    select
        otherwise.*,
        really.standing
    from otherwise
    inner join really on really.intent_id = otherwise.intent_id
    where really.standing in ('accepted', 'unknown', 'waiting')
        and not exists (select 1 from told where told.intent_id = otherwise.intent_id)
),

-- The pass of a message is named after what began it, so what began in another run is another message: the first that
-- is missed stands against the first that went.
missed_in_order as (
    select
        *,
        row_number() over (partition by person_id, campaign, step order by as_of, intent_id) as nth
    from missed
),

unwanted_in_order as (
    select
        *,
        row_number() over (partition by person_id, campaign, step order by as_of, intent_id) as nth
    from unwanted
),

differing as (
    select
        coalesce(missed.campaign, unwanted.campaign) as campaign,
        coalesce(missed.step, unwanted.step) as step,
        coalesce(missed.message, unwanted.message) as message,
        coalesce(missed.channel, unwanted.channel) as channel,
        coalesce(missed.class, unwanted.class) as class,
        coalesce(missed.person_id, unwanted.person_id) as person_id,
        missed.as_of as should_have_gone_at,
        unwanted.as_of as went_at,
        missed.intent_id as missed_intent_id,
        unwanted.intent_id as went_intent_id,
        unwanted.standing
    from missed_in_order as missed
    full outer join unwanted_in_order as unwanted
        on
            unwanted.person_id = missed.person_id
            and unwanted.campaign = missed.campaign
            and unwanted.step = missed.step
            and unwanted.nth = missed.nth
    union all
    select
        told.campaign,
        told.step,
        told.message,
        told.channel,
        told.class,
        told.person_id,
        told.as_of as should_have_gone_at,
        otherwise.as_of as went_at,
        told.intent_id as missed_intent_id,
        told.intent_id as went_intent_id,
        really.standing
    from told
    inner join otherwise on otherwise.intent_id = told.intent_id
    inner join really on really.intent_id = told.intent_id
    where told.as_of <> otherwise.as_of
        and really.standing in ('accepted', 'unknown', 'waiting')
)

select
    case
        when went_at is null then 'missed'
        when should_have_gone_at is null then 'unwanted'
        else 'another_time'
    end as kind,
    *
from differing
order by campaign, step, kind, coalesce(should_have_gone_at, went_at), person_id, missed_intent_id, went_intent_id
