"""The words everything else speaks: places, problems, schemas, records and the connector contract."""
