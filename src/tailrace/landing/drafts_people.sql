-- grain: one row per word of `words` that is somebody's id, name or address
with trait as (
    select unnest(map_entries(from_json(traits, '"MAP(VARCHAR, JSON)"'))) as pair
    from read_parquet([{files}])
    where type = 'identify' and traits is not null
),
personal as (
    select unnest([user_id, anonymous_id, previous_id]) as word
    from read_parquet([{files}])
    union all
    select told(pair.value::varchar) as word
    from trait
    where regexp_matches(lower(pair.key), 'name|mail|phone|login|user') and starts_with(pair.value::varchar, '"')
    union all
    -- Of a whole name each word is a name: `zoe` of Zoe Miller.
    select unnest(regexp_split_to_array(told(pair.value::varchar), '[\s,.;()]+')) as word
    from trait
    where $in_parts and regexp_full_match(lower(pair.key), '((full|real|display)[ _-]?)?name') and starts_with(pair.value::varchar, '"')
)
select word
from words
where lower(word) in (select lower(word) from personal where word is not null)
