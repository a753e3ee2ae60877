#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""futured.aio under the real daemon: asyncio's own functions take its futures, and they know their task all the while."""
import asyncio

from python_support import *  # noqa: F403: the words of the contract
from python_support import PythonCase, PythonDurableCase, PythonMixin, futured

from futured import aio


class AioMixin(PythonMixin):
    def client(self, **options):
        return aio.Client(options.pop("address", None) or self.server.address, **options)

    def play(self, scene, **options):
        """Run a coroutine function with a client."""
        async def main():
            async with self.client(**options) as client:
                return await asyncio.wait_for(scene(client), DEADLINE)
        return asyncio.run(main())

    async def in_thread(self, call, *arguments):
        return await asyncio.to_thread(call, *arguments)


class Awaitables(AioMixin, PythonCase):
    def test_gather_and_what_each_result_is(self):
        async def scene(client):
            echo = client.function("echo", labels={"kind": "number"}, group="g")
            futures = [echo(n) for n in range(50)]
            self.assertIsNone(futures[0].id)
            results = await asyncio.gather(*futures)
            for n, (future, result) in enumerate(zip(futures, results)):
                self.assertEqual((result, future.task.function, future.task.argument, future.task.labels),
                                 (n, "echo", n, {"kind": "number"}))
                self.assertRegex(future.id, UUID7)
            record = await futures[7].record()
            self.assertEqual((record.value(), record.task, len(record.attempts)), (7, futures[7].task, 1))
            found = [r.id async for r in client.find(group="g")]
            self.assertEqual(found, [f.id for f in reversed(futures)])
            got = await client.submit("echo", "x", completed=True)
            self.assertEqual((got.value, got.task.argument, (await client.get(got.id)).task), ("x", "x", got.task))
        self.play(scene)

    def test_errors(self):
        async def scene(client):
            good, bad, refused, large = got = [client.submit("echo", 1), client.submit("fail", "no luck"), client.submit("nothing"),
                                               client.submit("echo", b"x" * (5 << 20))]
            results = await asyncio.gather(*got, return_exceptions=True)
            self.assertEqual(results[0], 1)
            self.assertEqual([type(r) for r in results[1:]], [futured.TaskError, futured.Refused, futured.TooLarge])
            self.assertEqual((results[1].id, results[1].task, results[1].message), (bad.id, bad.task, "no luck"))
            for future in (refused, large):
                with self.assertRaises(futured.Refused):
                    await future.accepted()
            with self.assertRaises(futured.UnknownFuture):
                await client.attach(NO_SUCH_ID)
            self.assertRegex(await good.accepted(), UUID7)
        self.play(scene)

    def test_wait(self):
        async def scene(client):
            gate = self.gate()
            held, quick = client.submit("gate", gate.argument), client.submit("echo", 1)
            done, pending = await asyncio.wait([held, quick], return_when=asyncio.FIRST_COMPLETED)
            self.assertEqual((done, pending), ({quick}, {held}))
            gate.open(b"x")
            self.assertEqual(await asyncio.wait([held, quick]), ({held, quick}, set()))
        self.play(scene)

    def test_as_completed(self):
        async def scene(client):
            gate = self.gate()
            held, quick = client.submit("gate", gate.argument), client.submit("echo", 1)
            order = []
            async for future in client.as_completed([held, quick, held]):
                order.append(future)
                if future is quick:
                    gate.open(b"x")
            self.assertEqual(order, [quick, held])
            self.assertEqual(sorted(map(str, [await c for c in asyncio.as_completed([held, quick])])), ["1", "b'x'"])
        self.play(scene)

    def test_wait_for_ends_the_task(self):
        async def scene(client):
            gate = self.gate()
            future = client.submit("gate", gate.argument)
            id_, = await self.in_thread(gate.started)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(future, 0.01)
            self.assertTrue(future.cancelled())
            return id_
        id_ = self.play(scene)  # which has waited for the task
        self.assertEqual(self.futures.Get(get(id_)).state, CANCELLED)

    def test_cancelling_who_awaits(self):
        async def scene(client):
            gate = self.gate()
            future = client.submit("gate", gate.argument)
            kept = client.submit("echo", 1)

            async def both():
                return await asyncio.gather(future, asyncio.shield(kept))
            task = asyncio.create_task(both())
            await self.in_thread(gate.started)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertEqual(await kept, 1)
            return await future.accepted()
        id_ = self.play(scene)
        self.assertEqual(self.futures.Get(get(id_)).state, CANCELLED)

    def test_cancelled_by_another(self):
        async def scene(client):
            gate = self.gate()
            future = client.submit("gate", gate.argument)
            record = await client.cancel(await future.accepted(), "by another")
            self.assertEqual(record.message.cancel_requested.reason, "by another")
            with self.assertRaises(asyncio.CancelledError):
                await future
        self.play(scene)

    def test_cancelled_before_it_was_sent(self):
        async def scene(client):
            future = client.submit("echo", 1)
            self.assertTrue(future.cancel())
            self.assertFalse(future.cancel())
            with self.assertRaises(futured.CallError):
                await future.accepted()
            other = client.submit("echo", 1)
            with self.assertRaises(futured.Unreachable):
                await other
            with self.assertRaises(futured.Unreachable):
                await client.get(NO_SUCH_ID)
        self.play(scene, address=f"unix:{self.folder}/nobody", patience=0.2, call_timeout=0.2)

    def test_annotate_and_attach(self):
        async def scene(client):
            first = client.submit("echo", "x")
            self.assertEqual((await first.annotate({"seen": "yes"})).labels, {"seen": "yes"})
            again = await client.attach(first.id)
            self.assertEqual((await again, again.task, again.id), ("x", first.task, first.id))
            self.assertEqual((await client.annotate(first.id, remove=["seen"])).labels, {})
        self.play(scene)

    def test_map_keeps_within_its_limit(self):
        async def scene(client):
            self.assertEqual([x async for x in client.map("echo", range(300), limit=7)], list(range(300)))
            with self.assertRaises(futured.TaskError):
                async for _ in client.map("fail", ["a"] * 20, limit=3):
                    pass
            await client.room()
            return [r async for r in client.find("function = fail")]
        self.assertLessEqual(len(self.play(scene)), 3)

    def test_many_and_a_busy_loop(self):
        async def scene(client):
            return await asyncio.gather(*(client.submit("echo", n) for n in range(2000)))
        self.assertEqual(self.play(scene), list(range(2000)))

    def test_one_loop(self):
        client = self.client()

        async def scene():
            return await client.submit("echo", 1)
        self.assertEqual(asyncio.run(scene()), 1)
        with self.assertRaisesRegex(RuntimeError, "another event loop"):
            asyncio.run(scene())
        asyncio.run(client.close())


class Restarts(AioMixin, PythonDurableCase):
    workers = 4

    def test_killed_in_the_middle(self):
        async def scene(client):
            gate = self.gate()
            futures = [client.submit("gate", gate.argument) for _ in range(6)]
            ids = [await f.accepted() for f in futures]
            await self.in_thread(gate.started, 4)
            self.restart()  # not in a thread: the daemon would end with it
            futures += [client.submit("gate", gate.argument) for _ in range(3)]
            record = await client.get(ids[0])
            self.assertEqual(record.task, futures[0].task)
            gate.open(b"x")
            self.assertEqual(await asyncio.gather(*futures), [b"x"] * 9)
            self.assertEqual([f.id for f in futures[:6]], ids)
        self.play(scene)


if __name__ == "__main__":
    main()
