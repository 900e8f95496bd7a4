"""The monitor over HTTP: JSON below /api/, and pages.

`app.create` makes the application. A request goes through `guard.Guard` (who may ask,
and headers of every answer), then to an endpoint of the table in `api` or to a page of
the table in `pages`. Both get a `Visit`: the request, who asks, and the `Service`,
which has all that is shown and done.
"""
