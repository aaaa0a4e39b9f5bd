-- One row per event of a person's shopping: a product seen, put into a cart, checked out, paid for, or a payment that failed.
-- JSON is parsed here once, when its load comes in. Incremental by load, like fct_events.
{{ config(
    enabled='commerce' in var('programmes'),
    materialized='incremental', tags=['by_load'], pre_hook="{{ forget_events() }}", post_hook="{{ note_loads() }}",
) }}

select
    event_id,
    source,
    load_id,
    attributed_in,
    person_id,
    event_at,
    event,
    nullif(trim({{ json_text('properties', 'cart_id') }}), '') as cart_id,
    nullif(trim({{ json_text('properties', 'order_id') }}), '') as order_id,
    nullif(trim({{ json_text('properties', 'product') }}), '') as product,
    {{ parse_amount(json_text('properties', 'value')) }} as value
from {{ to_be_read(ref('fct_events')) }}
where type = 'track'
    and event in ('viewed_product', 'add_to_cart', 'checkout_started', 'payment_error', 'checkout_completed')
    and person_id is not null
