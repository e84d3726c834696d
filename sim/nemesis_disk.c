/* sim/nemesis_disk.c - faults of storages. */
#include "sim/nemesis_private.h"

static bool do_slow_disk(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    virtual_log_set_delay(replica->log, 1000, (uint32_t)prng_between(&nemesis->prng, 2000, 200000));
    return true;
}

/* What takes room is refused from now on: the core fails with it, and its host starts it again
 * when there is room. (A node that stays and waits comes with part 4.) */
static bool do_disk_full(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    replica->disk_sick = true;
    virtual_log_set_refusal(replica->log, MORTAR_E_NO_SPACE);
    return true;
}

/* The next write fails: nobody can say what of it is on the disk, nor of those under way. */
static bool do_disk_failure(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    replica->disk_sick = true;
    virtual_log_fail_next(replica->log, MORTAR_E_IO);
    return true;
}

static const struct nemesis_fault faults[] = {
    {SIM_FAULT_SLOW_DISK, do_slow_disk},
    {SIM_FAULT_DISK_FULL, do_disk_full},
    {SIM_FAULT_DISK_FAILURE, do_disk_failure},
};

struct nemesis_faults nemesis_disk_faults(void)
{
    return (struct nemesis_faults){faults, sizeof faults / sizeof faults[0]};
}
