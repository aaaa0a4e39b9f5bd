"""tailrace: lifecycle messaging and reverse ETL as a batch job beside your own data."""

__version__ = "0.1.0"
