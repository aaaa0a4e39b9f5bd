-- grain: one row per staged row that its contract keeps out
insert into verdicts
select
    broken.row_no,
    'contract_broken' as reason,
    any_value(rules.event) || ': ' || string_agg(concat('`', rules.property, '` ', rules.words), '; ' order by rules.code) as detail
from broken
inner join rules on broken.code = rules.code
where rules.refuses
group by broken.row_no
