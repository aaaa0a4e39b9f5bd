-- One row per person who looked at products within three days and has put nothing into a cart in that time.
{{ config(
    enabled='commerce' in var('programmes'),
    meta={'owner': 'shop@example.com', 'summary': 'Looked at products within 3 days, nothing in a cart'},
) }}

select
    events.person_id,
    cast(sum(case when events.event = 'viewed_product' then 1 else 0 end) as integer) as n_views,
    max(case when events.event = 'viewed_product' then events.event_at end) as last_viewed_at
from {{ ref('fct_commerce_events') }} as events
where events.event_at > {{ ago('3 days') }}
    and events.event_at <= {{ as_of() }}
group by events.person_id
having max(case when events.event = 'viewed_product' then 1 else 0 end) = 1
    and max(case when events.event in ('add_to_cart', 'checkout_completed') then 1 else 0 end) = 0
