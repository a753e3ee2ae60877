# SPDX-License-Identifier: Apache-2.0
"""Power loss. See power.py. Each generation goes on from what the last cut of the one before has left."""
import crash_support
from crash_support import IS_LONG, ROUNDS
from power import PowerCase

GENERATION = 20  # cuts
LOGS = ["0", "256K", "16M"]  # what the log has from the start


class Power(PowerCase):
    def test_power_cuts(self):
        n_wanted = max(ROUNDS * 3 // 2, GENERATION) if IS_LONG else 12
        n_syncs, generation = 0, 0
        while self.n_cuts < n_wanted:
            self.config = {"store": {"log": self.chance.choice(LOGS)}}
            base, entries, lines = self.record(f"p-{generation}", 1000 + self.chance.randrange(1500))
            n_syncs += sum(e[1] == 6 for e in entries)
            self.older = set(self.ledger.known)
            n = min(GENERATION, n_wanted - self.n_cuts)
            self.assert_nothing(self.cut(base, entries, lines, n, n // 4 if generation == 0 else 0))
            generation += 1
            print(f"generation {generation}: {self.n_cuts} cuts, {len(self.ledger.known)} futures", flush=True)
        print(f"{self.n_cuts} power cuts in {n_syncs} syncs ({self.habits} of what was not synced was left), "
              f"{self.ledger.n_acknowledged} acknowledgements; 0 lost, 0 changed, 0 terminal twice", flush=True)


if __name__ == "__main__":
    crash_support.main()
