-- grain: a condition on a line, as bytes
(
    list_has_any(
        list_transform(erased_ids(erased_text({raw})), lambda x: erased_hash('user', x)),
        coalesce((select list(hash) from erased_users), [])
    )
    or list_has_any(
        list_transform(erased_words(erased_text({raw})), lambda x: erased_hash('address', lower(trim(x)))),
        coalesce((select list(hash) from erased_addresses), [])
    )
)
