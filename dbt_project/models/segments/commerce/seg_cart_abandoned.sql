-- One row per person who left a cart within the last days (commerce_recovery_days) and has bought nothing since.
{{ config(
    enabled='commerce' in var('programmes'),
    meta={'owner': 'shop@example.com', 'summary': 'Left a cart lately and bought nothing since'},
) }}

select
    carts.person_id,
    cast(count(*) as integer) as n_carts,
    max(carts.last_event_at) as abandoned_at
from {{ ref('fct_carts') }} as carts
where carts.state = 'abandoned'
    and carts.last_event_at > {{ ago(var('commerce_recovery_days') ~ ' days') }}
    and not exists (
        select 1
        from {{ ref('fct_commerce_events') }} as bought
        where bought.person_id = carts.person_id
            and bought.event = 'checkout_completed'
            and bought.event_at >= carts.started_at
            and bought.event_at <= {{ as_of() }}
    )
group by carts.person_id
