#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The question that futured was written for: asyncio.gather() gives a list of results. Which call does each belong to?

    gather.py run          runs many calls at once; then tells of each result what it is the result of
    gather.py show ID...   tells the same of the same futures, in any other process, at any later time

The daemon is that of FUTURED_ADDRESS; `python3 -m futured.worker functions.py` serves it.
"""
import asyncio
import sys

from futured import Record, aio

PICTURES = {"ada": ["cat.png", "dog.png"], "bob": ["sea.png", "sky.png", "sun.png"]}


def tell(record: Record) -> None:
    """All of this comes from the future: nobody kept a list beside it."""
    what = record.error.message if record.error else record.value()
    print(record.id, record.task, dict(sorted(record.labels.items())), record.state.value, what, flush=True)


async def run() -> None:
    async with aio.Client() as client:
        calls = [client.submit("resize", picture, width, labels={"customer": customer}, group="pictures")
                 for customer, pictures in PICTURES.items() for picture in pictures for width in (0, 64, 512)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        # The future of each result knows its call, with nothing asked.
        for call, result in zip(calls, results):
            assert call.task.function == "resize" and call.id
            if isinstance(result, Exception):
                assert call.task.argument[1] < 1, result
            else:
                assert result["file"].startswith(call.task.argument[0].removesuffix(".png")), result
        # And so does the daemon.
        await calls[0].annotate({"seen": "yes"})
        for call in calls:
            tell(await call.record())


async def show(ids: list[str]) -> None:
    async with aio.Client() as client:
        for id in ids:
            tell(await client.get(id))


if __name__ == "__main__":
    if sys.argv[1:] == ["run"]:
        asyncio.run(run())
    elif sys.argv[1:2] == ["show"]:
        asyncio.run(show(sys.argv[2:]))
    else:
        sys.exit(__doc__)
