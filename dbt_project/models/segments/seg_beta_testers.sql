-- One row per person on the hand-kept list seeds/beta_testers.csv who is known at as_of.
{{ config(meta={'owner': 'product@example.com', 'summary': 'On the hand-kept list of beta testers'}) }}

select people.person_id
from {{ ref('dim_people') }} as people
where
    exists (
        select 1
        from {{ ref('beta_testers') }} as listed
        where listed.user_id = people.user_id
    )
