"""Where records wait between steps: Parquet datasets, the engine that queries them, and the ledger that vouches for them."""
