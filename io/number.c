/* Decimal text to numbers and back: correctly rounded, the same in every locale.
 * Knows no file.
 * SPDX-License-Identifier: MIT
 *
 * Fast way (Clinger, How to read floating point numbers accurately, PLDI 1990): when the digits fit the significand and
 * the power of ten is exact, one operation rounds once. Otherwise strtod gets the digits as a whole number and an
 * exponent: without a decimal point there is nothing for a locale to change. */
#include "io/bytes.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More digits than this cannot move a rounding, but for the question whether they are all zero: 767 for a double. */
#define DIGITS 770

/* mantissa digits [first, last), perhaps with a point among them, times 10^exponent */
typedef struct decimal {
    const char *first, *last;
    int64_t exponent; /* of the last digit */
    uint64_t mantissa;
    bool negative, exact; /* exact: the mantissa holds all digits */
} decimal;

static bool is_digit(char ch) { return ch >= '0' && ch <= '9'; }

static bool same_letters(const char *text, size_t n, const char *word)
{
    if (strlen(word) != n) return false;
    for (size_t i = 0; i < n; i++)
        if ((text[i] | 0x20) != word[i]) return false;
    return true;
}

static bool scan_exponent(const char *p, const char *end, int64_t *exponent)
{
    const int64_t huge = 1000000000000000; /* far beyond what digits in any file could balance */
    bool minus = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (p == end) return false;
    int64_t e = 0;
    for (; p < end && is_digit(*p); p++)
        if (e < huge) e = 10 * e + (*p - '0');
    *exponent += minus ? -e : e;
    return p == end;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit before or after the point */
static bool scan(const char *text, size_t n, decimal *d)
{
    const char *p = text, *end = text + n;
    *d = (decimal){ .negative = n && *p == '-', .exact = true };
    if (n && (*p == '-' || *p == '+')) p++;
    bool point = false;
    int digits = 0;
    const char *begin = p;
    for (; p < end && (is_digit(*p) || (*p == '.' && !point)); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        if (!d->first && *p != '0') d->first = p;
        if (d->mantissa > (UINT64_MAX - 9) / 10) d->exact = false;
        else d->mantissa = 10 * d->mantissa + (uint64_t)(*p - '0');
        d->exponent -= point;
        digits = 1;
    }
    d->last = p;
    if (!d->first) d->first = p;
    if (!digits || p == begin) return false;
    return p == end || ((*p == 'e' || *p == 'E') && scan_exponent(p + 1, end, &d->exponent));
}

/* The decimal as digits and exponent alone, for strtod and strtof. */
static void spell(const decimal *d, char out[DIGITS + 32])
{
    size_t n = 0;
    int64_t exponent = d->exponent;
    bool rest = false;
    for (const char *p = d->first; p < d->last; p++) {
        if (*p == '.') continue;
        if (n < DIGITS) out[n++] = *p;
        else exponent++, rest = rest || *p != '0';
    }
    if (rest) out[n++] = '1', exponent--;
    if (!n) out[n++] = '0';
    if (exponent > 99999) exponent = 99999;
    if (exponent < -99999) exponent = -99999;
    snprintf(out + n, 16, "e%d", (int)exponent);
}

static double exact_double(const decimal *d)
{
    char text[DIGITS + 32];
#if FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 1 /* an x87 would round twice */
    static const double ten[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (d->exact && d->mantissa <= (uint64_t)1 << 53 && d->exponent >= -22 && d->exponent <= 22)
        return d->exponent < 0 ? (double)d->mantissa / ten[-d->exponent] : (double)d->mantissa * ten[d->exponent];
#endif
    spell(d, text);
    return strtod(text, NULL);
}

/* v rounded again is wrong only where v lies in the middle of two floats and the decimal itself may not. */
static double exact_float(const decimal *d, double v)
{
    char text[DIGITS + 32];
    if (v <= (double)FLT_MAX) {
        float f = (float)v, g = nextafterf(f, v > (double)f ? INFINITY : 0);
        if ((double)f == v || ((double)f + (double)g) / 2 != v) return (double)f;
    }
    spell(d, text);
    return (double)strtof(text, NULL);
}

gr__parsed gr__parse_real(const char *text, size_t n, gr_type type, double *value)
{
    decimal d;
    if (!scan(text, n, &d)) {
        size_t sign = n && (*text == '-' || *text == '+');
        if (!same_letters(text + sign, n - sign, "inf") && !same_letters(text + sign, n - sign, "infinity")) return GR__NO_NUMBER;
        *value = n && *text == '-' ? (double)-INFINITY : (double)INFINITY;
        return GR__NUMBER;
    }
    double v = exact_double(&d);
    if (type == GR_F32) v = exact_float(&d, v);
    if (isinf(v)) return GR__OUT_OF_RANGE;
    *value = d.negative ? -v : v;
    return GR__NUMBER;
}

gr__parsed gr__parse_int(const char *text, size_t n, int64_t *value)
{
    size_t sign = n && (*text == '-' || *text == '+');
    if (n == sign) return GR__NO_NUMBER;
    const uint64_t most = (uint64_t)INT64_MAX + (sign && *text == '-');
    uint64_t v = 0;
    bool too_large = false;
    for (size_t i = sign; i < n; i++) {
        if (!is_digit(text[i])) return GR__NO_NUMBER;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (v > (most - digit) / 10) too_large = true;
        else v = 10 * v + digit;
    }
    if (too_large) return GR__OUT_OF_RANGE;
    *value = most > INT64_MAX ? -(int64_t)(v - (v > 0)) - (v > 0) : (int64_t)v; /* without overflow for the least */
    return GR__NUMBER;
}

/* What a locale writes as the decimal point, in one byte or several, becomes '.'. */
static int plain_point(char *text)
{
    int n = 0;
    bool point = false;
    for (const char *p = text; *p; p++) {
        if (isalnum((unsigned char)*p) || *p == '-' || *p == '+') text[n++] = *p;
        else if (!point) text[n++] = '.', point = true;
    }
    text[n] = '\0';
    return n;
}

int gr__print_real(char out[GR__NUMBER_TEXT], double value, gr_type type)
{
    if (isnan(value)) return snprintf(out, GR__NUMBER_TEXT, "nan");
    if (isinf(value)) return snprintf(out, GR__NUMBER_TEXT, value < 0 ? "-inf" : "inf");
    const int most = type == GR_F32 ? 9 : 17; /* digits that always suffice */
    int n = 0;
    for (int digits = type == GR_F32 ? 6 : 15; digits <= most; digits++) {
        double back = 0;
        snprintf(out, GR__NUMBER_TEXT, "%.*g", digits, value);
        n = plain_point(out);
        if (gr__parse_real(out, (size_t)n, type, &back) == GR__NUMBER && back == value) break;
    }
    return n;
}
