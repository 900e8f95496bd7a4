"""A web service with Flask whose slow work is done by workers.

In three terminals, each in this folder:

    gearmand
    gearman-worker flask_app:tasks
    flask --app flask_app run

Then:

    curl -d text='to be or not to be' http://127.0.0.1:5000/counts
"""

from collections import Counter
from typing import Any

from flask import Flask, abort, request

from gearman.errors import UnknownJob
from gearman.tasks import App, JobFailed, ResultNotReady

tasks = App()
app = Flask(__name__)


@tasks.task(retries=2, timeout=60, keep=3600)
def count_words(text: str) -> dict[str, int]:
    """Count how often each word occurs."""
    if not text.strip():
        raise ValueError("there are no words")
    return dict(Counter(text.lower().split()))


@app.post("/counts")
def submit() -> tuple[dict[str, str], int]:
    """Have the words counted some time; tell where the result will be."""
    job = count_words.submit(request.form["text"])
    return {"id": job.handle}, 202


@app.get("/counts/<handle>")
def result(handle: str) -> dict[str, Any]:
    """Return the result, waiting up to `wait` seconds for it."""
    wait = request.args.get("wait", 0.0, type=float)
    try:
        found = count_words.job(handle).result(min(wait, 30.0))
    except ResultNotReady:
        return {"state": "waiting"}
    except JobFailed as error:
        return {"state": "failed", "reason": error.reason}
    except UnknownJob:
        abort(404, "there is no such job")
    return {"state": "done", "words": found}


@app.post("/counts/now")
def count_now() -> dict[str, int]:
    """Have a worker count the words, and wait for that."""
    return count_words.call(request.form["text"])
