-- One row per person who liked at least two hundred things within the last seven days, to the second.
{{ config(meta={'owner': 'product@example.com', 'summary': 'Liked 200 things within 7 days'}) }}

select people.person_id
from {{ ref('dim_people') }} as people
where {{ performed('like', at_least=200, within='7 days') }}
