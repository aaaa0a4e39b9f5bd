-- One row per person in `asked_people` who belongs to anything: `objects`, a JSON text of a list per kind of object, in the order in
-- which they came to belong, at most $most: the attributes of each, its `id`, and in `relationship` what is said of the two.
select
    person_id,
    json_group_object(object, held)::varchar as objects
from (
    select
        person_id,
        object,
        to_json(list(owned order by nth)) as held
    from (
        select
            belongs.person_id,
            belongs.object,
            json_merge_patch(
                coalesce(objects.attributes, '{}')::json,
                json_object('id', belongs.object_id, 'relationship', belongs.attributes::json)
            ) as owned,
            row_number() over (
                partition by belongs.person_id, belongs.object order by belongs.belongs_since, belongs.object_id
            ) as nth
        from wh.core.fct_object_people as belongs
        inner join asked_people as people on people.person_id = belongs.person_id
        left join wh.core.dim_objects as objects
            on objects.object = belongs.object and objects.object_id = belongs.object_id
    ) as ranked
    where nth <= $most
    group by person_id, object
) as kinds
group by person_id
