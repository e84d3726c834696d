/* base/prng.c - xoshiro256** (Blackman and Vigna), its state filled by splitmix64. */
#include "base/prng.h"

#include "base/assert.h"

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static uint64_t splitmix_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

struct prng prng_seeded(uint64_t seed)
{
    struct prng prng;
    uint64_t state = seed;
    /* Four outputs of a bijection over distinct states are never all zero, which would stick. */
    for (size_t i = 0; i < 4; i++)
        prng.state[i] = splitmix_next(&state);
    return prng;
}

uint64_t prng_next(struct prng *prng)
{
    uint64_t *const s = prng->state;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    const uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    ASSERT(bound >= 1);
    /* 2^64 mod bound: numbers below it would make the small remainders likelier. Each round is
     * accepted with more than even odds. */
    const uint64_t rejected = (UINT64_MAX - bound + 1) % bound;
    uint64_t value = prng_next(prng);
    while (value < rejected)
        value = prng_next(prng);
    return value % bound;
}

uint64_t prng_between(struct prng *prng, uint64_t min, uint64_t max)
{
    ASSERT(min <= max);
    const uint64_t span = max - min;
    if (span == UINT64_MAX) return prng_next(prng);
    return min + prng_below(prng, span + 1);
}

bool prng_chance(struct prng *prng, uint64_t numerator, uint64_t denominator)
{
    ASSERT(numerator <= denominator);
    return prng_below(prng, denominator) < numerator;
}

struct prng prng_fork(struct prng *prng)
{
    return prng_seeded(prng_next(prng));
}
