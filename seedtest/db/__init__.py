"""The database: schema, views, migrations, bulk reads and upserts."""
