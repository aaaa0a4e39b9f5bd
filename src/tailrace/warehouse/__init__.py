"""The warehouse: dbt builds it, planning and readers read it."""
