"""PostgreSQL: schema, migrations, calendars, links, jobs, sealed secrets. The only place with SQL."""
