#include "service/keys/secret.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

static const char prefix[] = "polos_";
static const char hex_digits[] = "0123456789abcdef";
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum {
    PREFIX_BYTES = sizeof(prefix) - 1,
    NUMBER_DIGITS = 8,
    RANDOM_LETTERS = SECRET_BYTES - SECRET_ID_BYTES - 1,
};
static_assert(PREFIX_BYTES + NUMBER_DIGITS == SECRET_ID_BYTES, "an id is a prefix and a number");
static_assert(RANDOM_LETTERS * 6 >= SECRET_RANDOM_BYTES * 8, "every bit has its place");
static_assert((int)SECRET_DIGEST_BYTES == (int)SHA256_DIGEST_LENGTH, "SHA-256");

str secret_id(char ret[SECRET_ID_BYTES], uint32_t number)
{
    memcpy(ret, prefix, PREFIX_BYTES);
    for (int i = 0; i < NUMBER_DIGITS; i++) {
        ret[PREFIX_BYTES + i] = hex_digits[(number >> (4 * (NUMBER_DIGITS - 1 - i))) & 15];
    }
    return str_make(ret, SECRET_ID_BYTES);
}

bool secret_read_id(str id, uint32_t *ret)
{
    uint32_t number = 0;
    if (id.len != SECRET_ID_BYTES || !str_starts_with(id, STR("polos_"))) {
        return false;
    }
    for (size_t i = PREFIX_BYTES; i < id.len; i++) {
        const char *digit = memchr(hex_digits, id.ptr[i], NUMBER_DIGITS * 2);
        if (digit == NULL) {
            return false;
        }
        number = number << 4 | (uint32_t)(digit - hex_digits);
    }
    *ret = number;
    return true;
}

str secret_make(char ret[SECRET_BYTES], uint32_t number, const uint8_t random[SECRET_RANDOM_BYTES])
{
    uint32_t bits = 0;
    int bit_count = 0;
    size_t at = secret_id(ret, number).len;
    ret[at++] = '_';
    for (size_t i = 0; i < SECRET_RANDOM_BYTES; i++) {
        bits = bits << 8 | random[i];
        for (bit_count += 8; bit_count >= 6; bit_count -= 6) {
            ret[at++] = letters[(bits >> (bit_count - 6)) & 63];
        }
    }
    ret[at++] = letters[(bits << (6 - bit_count)) & 63];
    assert(at == SECRET_BYTES);
    return str_make(ret, at);
}

bool secret_read(str secret, uint32_t *ret)
{
    if (secret.len != SECRET_BYTES || secret.ptr[SECRET_ID_BYTES] != '_') {
        return false;
    }
    for (size_t i = SECRET_ID_BYTES + 1; i < SECRET_BYTES; i++) {
        if (memchr(letters, secret.ptr[i], sizeof(letters) - 1) == NULL) {
            return false;
        }
    }
    return secret_read_id(str_make(secret.ptr, SECRET_ID_BYTES), ret);
}

void secret_digest(str secret, uint8_t ret[SECRET_DIGEST_BYTES])
{
    assert(secret.len > 0);
    SHA256((const unsigned char *)secret.ptr, secret.len, ret);
}

bool secret_digests_equal(const uint8_t a[SECRET_DIGEST_BYTES],
                          const uint8_t b[SECRET_DIGEST_BYTES])
{
    return CRYPTO_memcmp(a, b, SECRET_DIGEST_BYTES) == 0;
}

void secret_forget(void *bytes, size_t len)
{
    OPENSSL_cleanse(bytes, len);
}
