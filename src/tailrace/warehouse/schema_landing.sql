-- No rows: what dbt's sources are.
create schema if not exists warehouse.landing
