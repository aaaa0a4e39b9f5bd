-- grain: a condition on an event, `e`
(
    coalesce(e.user_id in (select user_id from erased_known_users), false)
    or coalesce(e.previous_id in (select user_id from erased_known_users), false)
    or (
        e.user_id is null
        and exists (
            select 1
            from erased_known_devices as devices
            where devices.anonymous_id = e.anonymous_id
                and (devices.since is null or e.event_at > devices.since)
                and (devices.until is null or e.event_at <= devices.until)
        )
    )
    or list_has_any(
        erased_inboxes(e.properties, e.traits, e.context), coalesce((select list(address) from erased_known_addresses), [])
    )
)
