-- One row per person known at as_of who is on the hand-kept list seeds/beta_testers.csv, or was added by a campaign.
{{ config(meta={'owner': 'product@example.com', 'summary': 'On the hand-kept list of beta testers'}) }}

select people.person_id
from {{ ref('dim_people') }} as people
where people.person_id in ({{ manual_members('beta_testers') }})
