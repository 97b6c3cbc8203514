#include "service/base/hash.h"

#include "service/base/endian.h"

/* The project's key. On disk in every hash: it can never change. */
static const uint8_t hash_key[16] = {
    'p', 'o', 'l', 'o', 's', ' ', 'h', 'a', 's', 'h', ' ', 'k', 'e', 'y', ' ', '1',
};

struct sip {
    uint64_t v0;
    uint64_t v1;
    uint64_t v2;
    uint64_t v3;
};

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static void sip_rounds(struct sip *sip, int count)
{
    for (int i = 0; i < count; i++) {
        sip->v0 += sip->v1;
        sip->v1 = rotate(sip->v1, 13) ^ sip->v0;
        sip->v0 = rotate(sip->v0, 32);
        sip->v2 += sip->v3;
        sip->v3 = rotate(sip->v3, 16) ^ sip->v2;
        sip->v0 += sip->v3;
        sip->v3 = rotate(sip->v3, 21) ^ sip->v0;
        sip->v2 += sip->v1;
        sip->v1 = rotate(sip->v1, 17) ^ sip->v2;
        sip->v2 = rotate(sip->v2, 32);
    }
}

static void sip_word(struct sip *sip, uint64_t word)
{
    sip->v3 ^= word;
    sip_rounds(sip, 2);
    sip->v0 ^= word;
}

static uint64_t sip_finish(struct sip *sip, uint64_t *v, uint64_t mark)
{
    *v ^= mark;
    sip_rounds(sip, 4);
    return sip->v0 ^ sip->v1 ^ sip->v2 ^ sip->v3;
}

void hash128_keyed(const uint8_t key[16], str bytes, uint8_t ret[HASH_BYTES])
{
    assert(bytes.ptr != NULL || bytes.len == 0);
    uint64_t k0 = endian_get_le(key, 8);
    uint64_t k1 = endian_get_le(key + 8, 8);
    struct sip sip = {
        .v0 = k0 ^ 0x736f6d6570736575u,
        .v1 = k1 ^ 0x646f72616e646f6du ^ 0xee,
        .v2 = k0 ^ 0x6c7967656e657261u,
        .v3 = k1 ^ 0x7465646279746573u,
    };
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    size_t left = bytes.len;
    for (; left >= 8; at += 8, left -= 8) {
        sip_word(&sip, endian_get_le(at, 8));
    }
    sip_word(&sip, (uint64_t)bytes.len << 56 | endian_get_le(at, left));
    endian_put_le(ret, sip_finish(&sip, &sip.v2, 0xee), 8);
    endian_put_le(ret + 8, sip_finish(&sip, &sip.v1, 0xdd), 8);
}

void hash128(str bytes, uint8_t ret[HASH_BYTES])
{
    hash128_keyed(hash_key, bytes, ret);
}
