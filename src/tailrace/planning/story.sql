-- One row per plan of the lineage and row of a relation that is about the person, oldest first.
select
    lineage.plan_id,
    lineage.as_of,
    rows.* exclude (filename)
from rows
inner join lineage on lineage.path = rows.filename
where list_contains($known, rows.person_id)
order by lineage.as_of, lineage.place desc
