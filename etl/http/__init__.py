"""Events and answers over HTTP: a router for each part of the API."""
