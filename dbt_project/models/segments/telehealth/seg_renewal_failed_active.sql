-- One row per patient in care whose renewal could not be charged lately (telehealth_recovery_days) and has not been since.
{{ config(
    enabled='telehealth' in var('programmes'),
    meta={'owner': 'billing@example.com', 'summary': 'Renewal failed, still in care'},
) }}

with renewals as (
    select
        person_id,
        max(case when event = 'payment_failed' then event_at end) as failed_at,
        max(case when event = 'payment_completed' then event_at end) as paid_at
    from {{ ref('fct_care_events') }}
    where event in ('payment_failed', 'payment_completed')
        and kind = 'renewal'
        and event_at <= {{ as_of() }}
    group by person_id
)

select
    renewals.person_id,
    renewals.failed_at
from renewals
inner join {{ ref('fct_telehealth_states') }} as states on renewals.person_id = states.person_id
where states.ended_at is null
    and states.state in ('active', 'refill_due')
    and renewals.failed_at > {{ ago(var('telehealth_recovery_days') ~ ' days') }}
    and (renewals.paid_at is null or renewals.paid_at < renewals.failed_at)
