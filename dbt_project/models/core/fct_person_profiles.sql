-- One row per person of fct_person_totals: what all that they told us says of them, whatever as_of is.
-- Latest value per attribute, of the source that owns it; last_fact_at is null of somebody who told nothing.
-- Whom fct_person_totals counts otherwise is told anew, from all of their facts.
{{ config(
    materialized='incremental', tags=['by_load'],
    pre_hook=[
        "{{ name_changed_people(ref('fct_person_totals')) }}", "{{ name_others_who_changed(ref('fct_person_totals')) }}",
        "{{ forget_changed_people() }}",
    ],
) }}

with facts as (
    {{ facts_in_order(is_of_changed_person()) }}
),

told as (
    select
        person_id,
        {{ person_profile_measures() }},
        max(event_at) as last_fact_at
    from facts
    group by person_id
)

select
    totals.person_id,
    told.email,
    told.first_name,
    told.last_name,
    told.country,
    told.timezone,
    told.company,
    told.plan,
    told.mrr,
    told.billing,
    told.renews_at,
    told.trial_ends_at,
    told.ends_at,
    told.signed_up_at,
    told.created_at,
    told.paid_at,
    told.payment_failed_at,
    told.last_step,
    told.last_fact_at,
    totals.n_events,
    totals.load_seq_sum,
    totals.attributed_in_sum,
    totals.written_in
from {{ ref('fct_person_totals') }} as totals
left join told on totals.person_id = told.person_id
where {{ is_of_changed_person('totals.person_id') }}
