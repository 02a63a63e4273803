"""The database room: schema, routines, views, named queries, and what serves them."""
