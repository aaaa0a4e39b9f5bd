-- One row per person whose account sales looks after: a company of saas_sales_employees or more, or one on the business plan.
-- Everybody else helps themself (product-led); campaigns say `if: {in: seg_sales_assisted}` where the two differ.
{{ config(
    enabled='saas' in var('programmes'),
    meta={'owner': 'sales@example.com', 'summary': 'Of an account that sales looks after'},
) }}

select distinct belongs.person_id
from {{ ref('fct_object_people') }} as belongs
inner join {{ ref('dim_objects') }} as accounts
    on belongs.object = accounts.object and belongs.object_id = accounts.object_id
where belongs.object = 'account'
    and (
        {{ parse_amount(json_text('accounts.attributes', 'employees')) }} >= {{ var('saas_sales_employees') }}
        or {{ json_text('accounts.attributes', 'plan') }} = 'business'
    )
