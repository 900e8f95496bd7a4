"""A web service with FastAPI whose slow work is done by workers.

In three terminals, each in this folder:

    gearmand
    gearman-worker fastapi_app:tasks
    uvicorn fastapi_app:app

Then open http://127.0.0.1:8000/docs.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from gearman.errors import UnknownJob
from gearman.tasks import App, JobFailed, ResultNotReady

tasks = App()


@tasks.task(retries=2, timeout=60, keep=3600)
def count_words(text: str) -> dict[str, int]:
    """Count how often each word occurs."""
    if not text.strip():
        raise ValueError("there are no words")
    return dict(Counter(text.lower().split()))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # At the end, it closes the connections to the job server.
    async with tasks:
        yield


app = FastAPI(lifespan=lifespan)


class Text(BaseModel):
    text: str


@app.post("/counts", status_code=202)
async def submit(body: Text) -> dict[str, str]:
    """Have the words counted some time; tell where the result will be."""
    job = await count_words.asubmit(body.text)
    return {"id": job.handle}


@app.get("/counts/{handle}")
async def result(handle: str, wait: float = 0.0) -> dict[str, Any]:
    """Return the result, waiting up to `wait` seconds for it."""
    try:
        found = await count_words.job(handle).aresult(min(wait, 30.0))
    except ResultNotReady:
        return {"state": "waiting"}
    except JobFailed as error:
        return {"state": "failed", "reason": error.reason}
    except UnknownJob as error:
        raise HTTPException(404, "there is no such job") from error
    return {"state": "done", "words": found}


@app.post("/counts/now")
async def count_now(body: Text) -> dict[str, int]:
    """Have a worker count the words, and wait for that."""
    return await count_words.acall(body.text)
