# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load, again and again on the same directory. After each start all that was acknowledged
is there, all that was shown is unchanged, and what was running or waiting ends, once. A round in which too little
happened fails.
"""
import select
import subprocess

import crash_support
from crash_support import BIN, DIE_WITH_PARENT, IS_LONG, ROUNDS, CrashCase
from futures_support import TERMINAL, futures_pb2, selector
import tasks

LEAST_ACKNOWLEDGED, LEAST_IN_FLIGHT = 1000, 50
SAMPLE = 1000  # of what had ended in earlier rounds, looked at after each


class Kill(CrashCase):
    def test_random_kills(self):
        rounds = ROUNDS if IS_LONG else 3
        n_least, in_flight_least, self.n_joined = 10**9, 10**9, 0
        self.start_daemon()
        for n in range(rounds):
            oracle = self.load(f"k-{n}")
            oracle.wait(LEAST_ACKNOWLEDGED + self.chance.randrange(2000))
            select.select([], [], [], self.chance.random() / 50)  # not just behind a commit
            self.kill()
            before = self.ledger.n_acknowledged
            last_id = self.ledger.last_id
            lines = oracle.end()
            self.ledger.take(lines)
            n_acknowledged = self.ledger.n_acknowledged - before
            self.forget()
            if n % 10 == 0:
                self.assert_sound()
            if self.chance.random() < 0.3:
                self.kill_in_recovery()
            self.start_daemon()
            in_flight = int(self.server.log.wait(" recovered ")[0].split("futures=")[1].split()[0])
            n_least, in_flight_least = min(n_least, n_acknowledged), min(in_flight_least, in_flight)
            self.assertGreaterEqual(n_acknowledged, LEAST_ACKNOWLEDGED)
            self.assertGreaterEqual(in_flight, LEAST_IN_FLIGHT)
            self.assert_nothing(self.ledger.wrong)
            new = {id_ for _, kind, id_, _ in lines if kind == "shown" and id_ > last_id}
            self.assert_round(new)
            self.assertGreater(self.next_id(), self.ledger.last_id, "IDs rise, whatever happens")
            self.assert_keys(new)
            print(f"round {n}: {n_acknowledged} acknowledged, {in_flight} in flight", flush=True)
        n_seen_running = self.assert_end()
        print(f"{rounds} rounds, {self.ledger.n_acknowledged} acknowledgements of {len(self.ledger.known)} futures "
              f"(at least {n_least} in a round), at least {in_flight_least} in flight, {n_seen_running} ran again, {self.n_joined} keys joined; "
              "0 lost, 0 changed, 0 terminal twice", flush=True)

    def kill_in_recovery(self):
        """A start that does not get far. Without workers: what is in flight is counted at the next one."""
        command = [*DIE_WITH_PARENT, BIN / "futured", "--state-directory", self.state, "--workers", "0", "--listen",
                   f"unix:{self.folder}/s", "--log-level", "error"]
        with subprocess.Popen(command) as process:
            select.select([], [], [], self.chance.random() / 25)
            process.kill()

    def assert_round(self, new):
        """All of this round, all that had not ended, and some of the rest."""
        live = set(self.ledger.live()) | new
        rest = [i for i in self.ledger.known if i not in live]
        self.assert_kept(live | set(self.chance.sample(rest, min(SAMPLE, len(rest)))))

    def assert_keys(self, new):
        """A key names the future that it named before."""
        for id_ in sorted(new):
            known = self.ledger.known[id_]
            request = known.best and tasks.request_of(known.best.tag, self.once)
            if not request or not request.task.options.idempotency_key or known.will_delete or tasks.is_ephemeral(request):
                continue
            again = self.futures.Submit(request)
            self.assertEqual((again.future.id, again.joined), (id_, True))
            self.n_joined += 1
            if self.n_joined % 20 == 0:
                break

    def assert_end(self):
        """All of them end, once, and as their tasks want it."""
        self.kill()
        self.forget()
        self.start_daemon(workers=24)
        ids = list(self.ledger.live())
        for i in range(0, len(ids), 1000):
            got = self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*ids[i:i + 1000])), timeout=300)
            self.assertFalse(got.timed_out)
        self.assert_kept()
        self.assert_nothing(self.ledger.wrong)
        n_again = n_durable = 0
        for known in self.ledger.known.values():
            if known.best is None or known.will_delete:
                continue
            n_durable += known.best.state in TERMINAL
            n_again += any(a.error.reason == "WORKER_LOST" for a in known.best.attempts)
        self.assertGreater(n_durable, 0)
        self.assertGreater(n_again, 0, "nothing ran when the daemon was killed")
        self.assert_once()
        self.stop()
        self.assert_sound()
        return n_again

    def assert_once(self):
        """What must not run twice has not, and whatever has run is known."""
        ran = self.once.read_text(encoding="ascii").split()
        self.assertEqual(len(ran), len(set(ran)), "on_lost FAIL: it ran twice")
        self.assertGreater(len(ran), 0)
        for id_, f in self.look(set(ran)).items():
            known = self.ledger.known.get(id_)
            if not (known and known.will_delete):
                self.assertIsNotNone(f, f"{id_} has run, and is not known")


if __name__ == "__main__":
    crash_support.main()
