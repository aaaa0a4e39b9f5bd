-- One row per person and day up to as_of; the day of as_of holds only what happened by then.
-- Whole days come from the rollup; only the day that as_of cuts is counted from events. Nothing later than as_of, so an
-- event from the future freshens nobody.
{{ config(meta={'declassify': 'days and counts of all events together: when somebody was there, and not what for'}) }}

{{ person_days_as_of() }}
