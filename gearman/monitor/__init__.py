"""The tool `gearman-monitor`: web pages about any number of job servers.

Rooms: `model` has values and rules, without I/O; `reading` asks servers; `history`
keeps the past; `acting` changes something on servers; `access` says who may; `web` has
the API and the pages; `demo` starts something to look at. The extra `monitor` has what
`web` needs.

How a page is added: write a handler in a module of `web/pages/`, and put a row into the
table `PAGES` of that package:

    async def function(visit: Visit) -> Response:
        view = visit.service.fleet.function(visit.query["function"])
        return visit.render("function.html", function=view)

    PAGES = (Page("/function", function, query={"function": name("the function")}),)

`visit` (`web/visit.py`) has the request, who asks (`visit.who`, with `name`, `role`,
`may_act` and `token`), the parameters of the query (`visit.query`, read as the row of
the page says: `web/queries.py`), the fields of a form that was sent (`visit.form`,
`visit.field`), and `visit.service` (`web/service.py`). The service has

* `fleet` (`model/fleet.py`): `servers()`, `functions()`, `function(name)`, `totals()`,
  which return views (`model/views.py`);
* `archive` (`history/archive.py`): `chart(...)`, `notes(...)`;
* `targets`, to ask a server with the functions of `reading/queries.py`; a page may also
  call a handler of `web/api/`, which returns what becomes JSON;
* `act(...)` and `submit(...)`, which also write the audit;
* `look()`, which a page awaits first, so that servers are read often.

A template (`web/templates/`, Jinja2) extends `layout.html`. All values are escaped.
Filters: `number`, `rate`, `duration`, `size`, `name` (bytes for people), `query` (bytes
as a value in a URL: `/function?function={{ function.name | query }}`). Its forms need
`<input type="hidden" name="csrf" value="{{ visitor.token }}">`; a script sends the
token in the header `X-CSRF-Token`. There are no inline scripts and styles, as the
headers (`web/guard.py`) forbid them: they are files in `web/static/`, at `/static/`. A
script listens to `/api/live` and asks the API for what has changed: `/api/openapi.json`
lists its endpoints.

Names of functions are bytes. In the query of a URL they are written with the filter
`query`, and read as a `queries.name(...)`; in a form they are written with the filter,
and read with `visit.names(field)`.
"""
