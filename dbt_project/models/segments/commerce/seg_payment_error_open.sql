-- One row per person whose last payment within three days failed.
{{ config(
    enabled='commerce' in var('programmes'),
    meta={'owner': 'support@example.com', 'summary': 'A payment failed within 3 days and none has gone through since'},
) }}

select
    events.person_id,
    cast(sum(case when events.event = 'payment_error' then 1 else 0 end) as integer) as n_payment_errors,
    max(case when events.event = 'payment_error' then events.event_at end) as payment_error_at
from {{ ref('fct_commerce_events') }} as events
where events.event in ('payment_error', 'checkout_completed')
    and events.event_at > {{ ago('3 days') }}
    and events.event_at <= {{ as_of() }}
group by events.person_id
having max(case when events.event = 'payment_error' then events.event_at end)
    > max(case when events.event = 'checkout_completed' then events.event_at else {{ ago('3 days') }} end)
