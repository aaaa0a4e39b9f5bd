-- One row per account of which at least three people used the product within 14 days, and which pays for less than `business`.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'object': 'account', 'owner': 'sales@example.com', 'summary': 'Three active people, no business plan yet'},
) }}

select
    belongs.object_id,
    sum(case when features.days_since_last_usage < 14 then 1 else 0 end) as n_active_people
from {{ ref('fct_object_people') }} as belongs
inner join {{ ref('dim_people') }} as people on belongs.person_id = people.person_id
inner join {{ ref('dim_person_features') }} as features on belongs.person_id = features.person_id
where belongs.object = 'account'
group by belongs.object_id
having sum(case when features.days_since_last_usage < 14 then 1 else 0 end) >= 3
    and max(case when people.plan = 'business' and people.mrr is not null then 1 else 0 end) = 0
