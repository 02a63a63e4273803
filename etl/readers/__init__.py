"""From bytes to text columns: CSV, NDJSON, Parquet, MTConnect, presets."""
