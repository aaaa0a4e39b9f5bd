-- One row per person of an account whose people together pay saas_high_value_mrr or more a month.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'owner': 'success@example.com', 'summary': 'Of an account that pays much'},
) }}

with paid as (
    select
        belongs.object_id,
        sum(people.mrr) as account_mrr
    from {{ ref('fct_object_people') }} as belongs
    inner join {{ ref('dim_people') }} as people on belongs.person_id = people.person_id
    where belongs.object = 'account'
    group by belongs.object_id
)

select
    belongs.person_id,
    max(paid.account_mrr) as account_mrr
from {{ ref('fct_object_people') }} as belongs
inner join paid on belongs.object_id = paid.object_id
where belongs.object = 'account'
    and paid.account_mrr >= {{ var('saas_high_value_mrr') }}
group by belongs.person_id
