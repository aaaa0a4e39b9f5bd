-- One row per person and cart that something was put into by as_of, and what became of it.
-- state: completed (paid, whenever), abandoned (nothing happened to it for so long as commerce_abandoned_after says), open.
{{ config(enabled='commerce' in var('programmes')) }}

with carts as (
    select
        person_id,
        cart_id,
        min(case when event = 'add_to_cart' then event_at end) as started_at,
        max(case when event = 'add_to_cart' then event_at end) as last_added_at,
        cast(sum(case when event = 'add_to_cart' then 1 else 0 end) as integer) as n_adds,
        min(case when event = 'checkout_started' then event_at end) as checkout_started_at,
        cast(sum(case when event = 'payment_error' then 1 else 0 end) as integer) as n_payment_errors,
        max(case when event = 'payment_error' then event_at end) as payment_error_at,
        min(case when event = 'checkout_completed' then event_at end) as completed_at,
        max(case when event = 'checkout_completed' then value end) as value,
        max(event_at) as last_event_at
    from {{ ref('fct_commerce_events') }}
    where cart_id is not null
        and event != 'viewed_product'
        and event_at <= {{ as_of() }}
    group by person_id, cart_id
)

select
    person_id,
    cart_id,
    case
        when completed_at is not null then 'completed'
        when last_event_at <= {{ ago(var('commerce_abandoned_after')) }} then 'abandoned'
        else 'open'
    end as state,
    started_at,
    last_added_at,
    n_adds,
    checkout_started_at,
    n_payment_errors,
    payment_error_at,
    completed_at,
    value,
    last_event_at
from carts
where started_at is not null
order by person_id, cart_id
