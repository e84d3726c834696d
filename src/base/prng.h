/* base/prng.h - seeded pseudo-random numbers (xoshiro256**): same seed, same numbers, on every
 * machine. Never for secrets. */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

struct prng prng_seeded(uint64_t seed);
uint64_t prng_next(struct prng *prng);
/* Uniform in [0, bound); bound >= 1. */
uint64_t prng_below(struct prng *prng, uint64_t bound);
/* Uniform in [min, max]; min <= max. */
uint64_t prng_between(struct prng *prng, uint64_t min, uint64_t max);
/* True `numerator` times in `denominator`. */
bool prng_chance(struct prng *prng, uint64_t numerator, uint64_t denominator);
/* An independent stream, so that one consumer does not shift another's numbers. */
struct prng prng_fork(struct prng *prng);

#endif
