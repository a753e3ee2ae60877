# SPDX-License-Identifier: Apache-2.0
"""Many pending futures, and kill -9, more than once: all of them come back, as they were, and run in the order in which they
were submitted. (How long a million take is for ./dev bench.)
"""
import crash_support
from crash_support import IS_LONG, CrashCase, futures_pb2
from futures_support import SUCCEEDED, nanoseconds, selector, submit

N = 50_000 if IS_LONG else 5_000
PAGE = 1000


class Pending(CrashCase):
    def test_order(self):
        self.start_daemon(workers=0)
        requests = (submit("echo", b"%d" % i, labels={"i": str(i)}) for i in range(N))
        ids = [r.future.id for r in self.futures.SubmitStream(requests, timeout=300)]
        self.assertEqual(ids, sorted(set(ids)))
        self.assertEqual(len(ids), N)
        self.again()
        self.assertEqual([f.id for f in self.listed()], ids)
        self.again()
        self.assertEqual(int(self.server.log.wait(" recovered ")[0].split("futures=")[1].split()[0]), N)
        self.again(workers=1)
        for i in range(0, N, PAGE):
            got = self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*ids[i:i + PAGE])), timeout=300)
            self.assertEqual((len(got.done), len(got.missing)), (min(PAGE, N - i), 0))
        done = list(self.listed())
        self.assertEqual([f.id for f in done], ids)
        self.assertEqual({f.state for f in done}, {SUCCEEDED})
        self.assertEqual([f.result.data for f in done], [b"%d" % i for i in range(N)])
        starts = [nanoseconds(f.start_time) for f in done]
        self.assertEqual(starts, sorted(starts), "they have not started in their order")
        print(f"{N} pending: all there after kill -9, all run in their order")

    def again(self, workers=0):
        self.kill()
        self.forget()
        self.start_daemon(workers=workers)

    def listed(self):
        request = futures_pb2.ListRequest(selector=selector(filter="*"), order_by="asc", page_size=PAGE,
                                          view=crash_support.FULL)
        while True:
            page = self.futures.List(request)
            yield from page.futures
            request.page_token = page.next_page_token
            if not request.page_token:
                return


if __name__ == "__main__":
    crash_support.main()
