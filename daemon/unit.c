// SPDX-License-Identifier: Apache-2.0
#include "daemon/unit.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <systemd/sd-bus.h>

/* TimeoutStopSec= in microseconds, UINT64_MAX where there is none; 0, -errno. */
static int stop_timeout(const char *unit, uint64_t *ret_us)
{
    sd_bus *bus = NULL;
    char *path = NULL;
    int r = sd_bus_open_system(&bus);

    if (r >= 0)
        r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);
    if (r >= 0)
        r = sd_bus_get_property_trivial(bus, "org.freedesktop.systemd1", path,
                                        "org.freedesktop.systemd1.Service", "TimeoutStopUSec", NULL, 't',
                                        ret_us);
    free(path);
    sd_bus_flush_close_unref(bus);
    return r < 0 ? r : 0;
}

int unit_check_stop(const char *unit, int64_t drain_ns, char why[static UNIT_WHY_BYTES])
{
    uint64_t us, needed_s = (uint64_t)((drain_ns + NS_PER_S - 1) / NS_PER_S) + UNIT_AFTER_DRAIN_S;
    int r = stop_timeout(unit, &us);

    if (r < 0) {
        snprintf(why, UNIT_WHY_BYTES,
                 "TimeoutStopSec= of %s is not checked: the service manager cannot be asked: %s", unit,
                 log_errno_text(r));
        return r;
    }
    if (us / 1000000 >= needed_s)
        return 0;
    snprintf(why, UNIT_WHY_BYTES,
             "[timeouts] drain: %s is killed after TimeoutStopSec=%" PRIu64
             "s, which is too soon: it drains, and then has %d s "
             "to end; set TimeoutStopSec=%" PRIu64 " (systemctl edit %s), or lower drain",
             unit, us / 1000000, UNIT_AFTER_DRAIN_S, needed_s, unit);
    return UNIT_E_SHORT;
}
