-- grain: one row per staged row that its contract keeps out
-- The detail begins with the name of the event, as JSON where it could be taken for something else: kept_out.sql reads it.
insert into verdicts
select
    broken.row_no,
    'contract_broken' as reason,
    any_value(case when contains(rules.event, '`') or starts_with(rules.event, '"') then to_json(rules.event)::varchar else rules.event end)
        || ': ' || string_agg(concat('`', rules.property, '` ', rules.words), '; ' order by rules.code) as detail
from broken
inner join rules on broken.code = rules.code
where rules.refuses
group by broken.row_no
