-- One row per person a supply of whom runs out within telehealth_refill_days (seven), not filled again and not stopped.
{{ config(
    enabled='telehealth' in var('programmes'),
    meta={'owner': 'care@example.com', 'summary': 'A supply runs out within 7 days'},
) }}

select
    fills.person_id,
    min(fills.runs_out_at) as runs_out_at,
    cast(count(*) as integer) as n_due
from {{ ref('fct_fills') }} as fills
where fills.next_filled_at is null
    and fills.stopped_at is null
    and fills.runs_out_at > {{ as_of() }}
    and fills.runs_out_at <= {{ plus_days(as_of(), var('telehealth_refill_days')) }}
    and {{ is_in_care_programme('fills.person_id') }}
group by fills.person_id
