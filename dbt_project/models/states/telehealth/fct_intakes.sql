-- One row per person and intake known by as_of, and how far it has come.
-- stage: started, completed (not paid), paid (no review yet), approved, declined. is_latest: the person began no other one later.
{{ config(enabled='telehealth' in var('programmes')) }}

with intakes as (
    select
        person_id,
        intake_id,
        min(event_at) as started_at,
        min(case when event = 'intake_completed' then event_at end) as completed_at,
        min(case when event = 'payment_completed' then event_at end) as paid_at,
        max(case when event = 'payment_failed' then event_at end) as payment_failed_at,
        min(case when event = 'review_completed' then event_at end) as reviewed_at,
        max(case when event = 'review_completed' and outcome = 'approved' then 1 else 0 end) as is_approved
    from {{ ref('fct_care_events') }}
    where event_at <= {{ as_of() }}
        and (
            event in ('intake_started', 'intake_completed', 'review_completed')
            -- Every payment is the intake's but those that say they are a renewal's.
            or (event in ('payment_completed', 'payment_failed') and kind is distinct from 'renewal')
        )
    group by person_id, intake_id
)

select
    person_id,
    intake_id,
    case
        when is_approved = 1 then 'approved'
        when reviewed_at is not null then 'declined'
        when paid_at is not null then 'paid'
        when completed_at is not null then 'completed'
        else 'started'
    end as stage,
    started_at,
    completed_at,
    paid_at,
    payment_failed_at,
    reviewed_at,
    lead(started_at) over (partition by person_id order by started_at, intake_id) as next_started_at,
    row_number() over (partition by person_id order by started_at desc, intake_id desc) = 1 as is_latest
from intakes
order by person_id, started_at, intake_id
