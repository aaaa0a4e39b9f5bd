-- grain: a condition on a line, as bytes
(
    list_has_any(
        list_transform(
            erased_ids(coalesce(try(decode({raw})), replace({raw}::varchar, '\x22', '"'))), lambda x: erased_hash('user', x)
        ),
        coalesce((select list(hash) from erased_users), [])
    )
    or list_has_any(
        list_transform(
            erased_words(coalesce(try(decode({raw})), replace({raw}::varchar, '\x22', '"'))),
            lambda x: erased_hash('address', lower(trim(x)))
        ),
        coalesce((select list(hash) from erased_addresses), [])
    )
)
