// xoshiro256** seeded by splitmix64 (Blackman and Vigna, public domain
// algorithms; written from their description).
#ifndef DRIVERS_SYNTH_PRNG_H
#define DRIVERS_SYNTH_PRNG_H

#include <stdint.h>

struct prng {
	uint64_t state[4];
};

static inline uint64_t prng_splitmix(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline void prng_seed(struct prng *prng, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		prng->state[i] = prng_splitmix(&seed);
	}
}

static inline uint64_t prng_rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static inline uint64_t prng_next(struct prng *prng)
{
	uint64_t *s = prng->state;
	uint64_t result = prng_rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = prng_rotate(s[3], 45);
	return result;
}

// In [0, bound) by multiplication; the bias is below bound / 2^32.
static inline uint32_t prng_below(struct prng *prng, uint32_t bound)
{
	return (uint32_t)((prng_next(prng) >> 32) * bound >> 32);
}

#endif
