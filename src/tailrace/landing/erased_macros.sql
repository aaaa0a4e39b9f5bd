-- grain: none; how the hashes of those who were erased are made, and what is hashed
create or replace temp macro erased_hash(kind, said) as sha256(concat_ws(chr(31), {salt}, kind, said));
-- The addresses that an event gives for its person.
create or replace temp macro erased_inboxes(properties, traits, context) as
    case
        when contains(concat(properties, traits, context), '@') then list_distinct(list_transform(
            list_filter(
                [
                    try(traits ->> '$.email'), try(traits ->> '$.address'), try(properties ->> '$.email'),
                    try(properties ->> '$.address'), try(context ->> '$.traits.email')
                ],
                lambda x: contains(x, '@')
            ),
            lambda x: lower(trim(x))
        ))
        else []
    end;
-- A line as text; of one that is no UTF-8, what is not ASCII stays escaped. Of UTF-16, ASCII is every other byte.
create or replace temp macro erased_text(raw) as coalesce(
    replace(try(decode(raw)), chr(0), ''),
    replace(replace(replace(replace(raw::varchar, '\x00', ''), '\x22', '"'), '\x27', ''''), '\x5C', '\')
);
-- What could be an id or an address on a line that nobody could read: texts in quotes, fields, words. An id may have a
-- stroke, a colon or white space in it; where there is a backslash, JSON may mean something else by it: `\/`, `\u00e9`.
-- In a URL `%40` is a stroke of an address, too.
create or replace temp macro erased_words(line) as list_distinct(flatten(list_transform(
    list_concat(
        regexp_extract_all(line, '"((?:[^"\\]|\\.)*)"', 1),
        regexp_split_to_array(line, '[,;\t"\r\n]+'),
        regexp_split_to_array(line, '[,;|\t"\r\n]+'),
        regexp_split_to_array(line, '[\s,;"{}\[\]<>()]+'),
        regexp_split_to_array(line, '[\s,;|"{}\[\]:<>()=&?]+')
    ),
    lambda x: list_concat(
        case
            when not contains(x, '\') then [trim(x, '''')]
            when json_valid(concat('"', x, '"')) then [x, concat('"', x, '"') ->> '$']
            else [x, replace(x, '\/', '/')]
        end,
        case when contains(x, '%') then [trim(try(url_decode(x)), '''')] else [] end
    )
)));
-- Of a JSON line, a short text is taken for an id only where a key says so: 17 is an amount as well.
create or replace temp macro erased_ids(line) as case
    when regexp_matches(line, '^\s*[{\[]') then list_concat(
        list_filter(erased_words(line), lambda x: length(x) > 5),
        regexp_extract_all(
            line, '(?i)["''][^"'']*(?:id|user|customer)[^"'']*["'']\s*:\s*["'']?([^"'',}\]\s]+)', 1
        )
    )
    else erased_words(line)
end
