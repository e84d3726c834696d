/* sim/versions.c - who speaks which wire version, and what must follow from it. */
#include "sim/versions.h"

#include "group/echo.h"
#include "sim/world.h"
#include "wire/frame.h"

uint16_t versions_draw(struct prng *prng)
{
    if (WIRE_VERSION_MAX == WIRE_VERSION_MIN) return 0;
    return (uint16_t)prng_between(prng, WIRE_VERSION_MIN, WIRE_VERSION_MAX);
}

uint16_t versions_of(const struct replica *replica)
{
    const uint16_t version_max = replica->options.wire_version_max;
    return version_max == 0 ? WIRE_VERSION_MAX : version_max;
}

uint16_t versions_common(const struct replica *a, const struct replica *b)
{
    return versions_of(a) < versions_of(b) ? versions_of(a) : versions_of(b);
}

/* Read here, not by the code under test: the two bytes behind the magic. */
static uint16_t version_of_frame(struct mortar_bytes frame)
{
    return frame.bytes < 6 ? 0 : (uint16_t)(frame.data[4] | frame.data[5] << 8);
}

void versions_check_frame(struct sim *sim, const struct replica *from, const struct replica *to,
                          struct mortar_bytes frame)
{
    const uint16_t version = version_of_frame(frame);
    if (version != 0 && version <= versions_common(from, to)) return;
    verdict_fail(&sim->verdict, "versions", "%s, which speaks %u, sends version %u to %s: %u",
                 from->name, versions_of(from), version, to->name, versions_of(to));
}

#ifdef MORTAR_WIRE_NEXT

void versions_note_link(struct sim *sim, const struct replica *a, const struct replica *b)
{
    if (versions_of(a) != versions_of(b)) sim->faults[SIM_FAULT_MIXED_VERSIONS]++;
}

/* As `self` sees `other`. */
static bool pair_works(struct sim *sim, const struct replica *self, const struct replica *other)
{
    const struct echo_counts *counts = echo_counts_of(self->core, &other->id);
    if (counts == NULL) return false;
    if (versions_common(self, other) >= WIRE_VERSION_NEXT) {
        const bool leads = sim_leader(sim) == self->number;
        return counts->answered > 0 && (!leads || counts->heard_there > 0);
    }
    if (counts->asked != 0 || counts->answered != 0 || counts->heard_there != 0) {
        verdict_fail(&sim->verdict, "versions", "%s (version %u) speaks version %u with %s (%u)",
                     self->name, versions_of(self), WIRE_VERSION_NEXT, other->name,
                     versions_of(other));
    }
    return true;
}

bool versions_work(struct sim *sim)
{
    bool all = true;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        for (uint32_t j = 0; j < sim->replica_count; j++) {
            const struct replica *self = sim->replicas[i];
            const struct replica *other = sim->replicas[j];
            if (i == j || !replica_is_live(self) || !replica_is_live(other)) continue;
            if (!pair_works(sim, self, other)) all = false;
        }
    }
    return all || sim_failed(sim);
}

#else

void versions_note_link(struct sim *sim, const struct replica *a, const struct replica *b)
{
    (void)sim;
    (void)a;
    (void)b;
}

bool versions_work(struct sim *sim)
{
    (void)sim;
    return true;
}

#endif
