#include "service/schema/decimal.h"

/* Holds the product of two uint64_t. */
__extension__ typedef unsigned __int128 wide;

/* Beyond what any text of this server spells out in zeros: sums of it do not overflow. */
#define EXPONENT_MAX ((int64_t)1000000000000000)

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Takes the digits at the front of rest. */
static str take_digits(str *rest)
{
    size_t count = 0;
    while (count < rest->len && is_digit(rest->ptr[count])) {
        count++;
    }
    str digits = str_make(rest->ptr, count);
    *rest = str_make(rest->ptr + count, rest->len - count);
    return digits;
}

static bool take_byte(str *rest, char byte)
{
    if (rest->len == 0 || rest->ptr[0] != byte) {
        return false;
    }
    *rest = str_make(rest->ptr + 1, rest->len - 1);
    return true;
}

static int64_t take_exponent(str *rest)
{
    if (!take_byte(rest, 'e') && !take_byte(rest, 'E')) {
        return 0;
    }
    bool is_negative = take_byte(rest, '-');
    (void)take_byte(rest, '+');
    int64_t exponent = 0;
    str digits = take_digits(rest);
    for (size_t i = 0; i < digits.len && exponent < EXPONENT_MAX; i++) {
        exponent = exponent * 10 + (digits.ptr[i] - '0');
    }
    exponent = exponent < EXPONENT_MAX ? exponent : EXPONENT_MAX;
    return is_negative ? -exponent : exponent;
}

static str join(str whole, str fraction, struct arena *arena)
{
    if (fraction.len == 0) {
        return whole;
    }
    char *digits = arena_alloc(arena, whole.len + fraction.len);
    memcpy(digits, whole.ptr, whole.len);
    memcpy(digits + whole.len, fraction.ptr, fraction.len);
    return str_make(digits, whole.len + fraction.len);
}

struct decimal decimal_of(str raw, struct arena *arena)
{
    str rest = str_trim(raw);
    struct decimal ret = {.is_negative = take_byte(&rest, '-')};
    str whole = take_digits(&rest);
    str fraction = take_byte(&rest, '.') ? take_digits(&rest) : STR_EMPTY;
    ret.exponent = take_exponent(&rest) - (int64_t)fraction.len;
    assert(whole.len > 0 && rest.len == 0);
    str digits = join(whole, fraction, arena);
    while (take_byte(&digits, '0')) {
    }
    while (digits.len > 0 && digits.ptr[digits.len - 1] == '0') {
        digits.len--;
        ret.exponent++;
    }
    if (digits.len == 0) {
        return (struct decimal){0};
    }
    ret.digits = digits;
    return ret;
}

static int compare_magnitude(const struct decimal *a, const struct decimal *b)
{
    int64_t a_end = a->exponent + (int64_t)a->digits.len;
    int64_t b_end = b->exponent + (int64_t)b->digits.len;
    if (a_end != b_end) {
        return a_end < b_end ? -1 : 1;
    }
    size_t common = a->digits.len < b->digits.len ? a->digits.len : b->digits.len;
    int order = memcmp(a->digits.ptr, b->digits.ptr, common);
    if (order != 0 || a->digits.len == b->digits.len) {
        return order;
    }
    return a->digits.len < b->digits.len ? -1 : 1;
}

static int sign_of(const struct decimal *number)
{
    assert(number->digits.len > 0 || !number->is_negative);
    return number->digits.len == 0 ? 0 : number->is_negative ? -1 : 1;
}

int decimal_compare(const struct decimal *a, const struct decimal *b)
{
    int a_sign = sign_of(a);
    int b_sign = sign_of(b);
    if (a_sign != b_sign || a_sign == 0) {
        return a_sign - b_sign;
    }
    int order = compare_magnitude(a, b);
    return a_sign < 0 ? -order : order;
}

bool decimal_is_whole(const struct decimal *number)
{
    return number->digits.len == 0 || number->exponent >= 0;
}

/* What the digits spell, by that modulus. */
static uint64_t remainder_of(str digits, uint64_t modulus)
{
    uint64_t rest = 0;
    assert(modulus > 0);
    for (size_t i = 0; i < digits.len; i++) {
        wide next = (wide)rest * 10 + (unsigned)(digits.ptr[i] - '0');
        rest = (uint64_t)(next % modulus);
    }
    return rest;
}

bool decimal_to_u32(const struct decimal *number, uint32_t *ret)
{
    enum {
        U32_DIGITS_MAX = 10,
    };
    if (number->is_negative || !decimal_is_whole(number) ||
        (int64_t)number->digits.len + number->exponent > U32_DIGITS_MAX) {
        return false;
    }
    uint64_t value = remainder_of(number->digits, UINT64_MAX);
    for (int64_t i = 0; i < number->exponent; i++) {
        value *= 10;
    }
    if (value > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)value;
    return true;
}

/* 10^exponent, by that modulus. */
static uint64_t power_of_ten(int64_t exponent, uint64_t modulus)
{
    uint64_t power = 1 % modulus;
    uint64_t square = 10 % modulus;
    assert(exponent >= 0);
    for (uint64_t rest = (uint64_t)exponent; rest > 0; rest >>= 1) {
        if ((rest & 1) != 0) {
            power = (uint64_t)((wide)power * square % modulus);
        }
        square = (uint64_t)((wide)square * square % modulus);
    }
    return power;
}

bool decimal_is_multiple(const struct decimal *number, const struct decimal *step)
{
    assert(step->digits.len > 0 && step->digits.len <= DECIMAL_STEP_DIGITS_MAX);
    assert(!step->is_negative);
    if (number->digits.len == 0) {
        return true;
    }
    if (number->exponent < step->exponent) {
        return false; /* Digits that do not end in 0 are no multiple of a power of ten. */
    }
    uint64_t modulus = remainder_of(step->digits, UINT64_MAX);
    uint64_t rest = remainder_of(number->digits, modulus);
    uint64_t power = power_of_ten(number->exponent - step->exponent, modulus);
    return (wide)rest * power % modulus == 0;
}
