"""Landing: from files of events to immutable Parquet, nothing lost and nothing twice."""
