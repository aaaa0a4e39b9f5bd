-- One row per end of a subscription that took effect (mark `ended`), and per payment that followed one (mark `paid`).
-- Paying again before the end voids the cancellation. An end may lie after as_of.
{{ config(enabled='saas' in var('programmes')) }}

with payments as (
    select
        person_id,
        event_at,
        fact = 'subscription_cancelled' as is_end,
        case when ends_at > event_at then ends_at else event_at end as ends_at,
        min(case when fact != 'subscription_cancelled' then event_at end) over (
            partition by person_id
            order by event_at, event_id, source
            rows between 1 following and unbounded following
        ) as next_paid_at
    from {{ owned_facts(['ends_at']) }}
    where fact in ('subscription_started', 'subscription_renewed', 'subscription_cancelled')
        and event_at <= {{ as_of() }}
),

endings as (
    select
        person_id,
        ends_at,
        next_paid_at
    from payments
    where is_end
        and (next_paid_at is null or next_paid_at > ends_at)
)

select
    person_id,
    ends_at as marked_at,
    'ended' as mark
from endings

union all

select
    person_id,
    next_paid_at as marked_at,
    'paid' as mark
from endings
where next_paid_at is not null
