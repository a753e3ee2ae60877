# SPDX-License-Identifier: Apache-2.0
"""The power cuts find what they are there for: with syncs left out acknowledged futures are lost, and that is seen."""
import crash_support
from power import PowerCase

ENOUGH = 25  # cuts, of which one is to be red


class Red(PowerCase):
    def assert_red(self, **options):
        base, entries, lines = self.record("p-0", 400, **options)
        wrong = self.cut(base, entries, lines, ENOUGH)
        self.assertTrue(wrong, f"{self.n_cuts} power cuts, and nothing is lost")
        self.assertRegex(wrong[0], "lost|refused|changed")
        print(f"{options}: red at cut {self.n_cuts + 1}: {wrong[0].splitlines()[0]}")

    def test_synchronous_normal(self):
        """SQLite's own half-measure: only checkpoints sync."""
        self.assert_red(synchronous="NORMAL")

    def test_synchronous_off(self):
        self.assert_red(synchronous="OFF")

    def test_syncs_that_do_nothing(self):
        self.assert_red(lie=1)


if __name__ == "__main__":
    crash_support.main()
