-- One row per event of a person's care: a form, an intake, a payment, a review, a visit, a prescription, the end of care.
-- JSON is parsed here once, when its load comes in. Incremental by load, like fct_events. Drug, reason and diagnosis stay behind.
{{ config(
    enabled='telehealth' in var('programmes'),
    materialized='incremental', tags=['by_load'], pre_hook="{{ forget_events() }}", post_hook="{{ note_loads() }}",
    meta={'sensitivity': 'health'},
) }}

select
    event_id,
    source,
    load_id,
    attributed_in,
    person_id,
    event_at,
    event,
    -- An intake or a prescription without an id is the person's one unnamed.
    coalesce(trim({{ json_text('properties', 'intake_id') }}), '') as intake_id,
    coalesce(trim({{ json_text('properties', 'prescription_id') }}), '') as prescription_id,
    lower(trim({{ json_text('properties', 'kind') }})) as kind,
    lower(trim({{ json_text('properties', 'outcome') }})) as outcome,
    coalesce(lower(trim({{ json_text('properties', 'as_needed') }})), 'false') in ('true', '1', 'yes') as is_as_needed,
    {{ parse_amount(json_text('properties', 'expected_supply_days')) }} as expected_supply_days
from {{ to_be_read(ref('fct_events')) }}
where type = 'track'
    and event in (
        'form_submitted', 'intake_started', 'intake_completed', 'payment_completed', 'payment_failed', 'review_completed',
        'visit_completed', 'prescription_started', 'prescription_filled', 'prescription_stopped', 'care_ended'
    )
    and person_id is not null
