/* Numbers as text: rounded correctly both ways, whatever the locale.
 * SPDX-License-Identifier: MIT */
#include "io/bytes.h"
#include "tests/test.h"

#include <float.h>
#include <locale.h>

static uint64_t state = 1;
static uint64_t random_bits(void) /* xorshift64 (Marsaglia 2003) */
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static double parsed(const char *text, gr_type type)
{
    double v = -12345;
    CHECK(gr__parse_real(text, strlen(text), type, &v) == GR__NUMBER);
    return v;
}

static bool is_number(const char *text)
{
    double v;
    return gr__parse_real(text, strlen(text), GR_F64, &v) != GR__NO_NUMBER;
}

TEST(numbers_have_digits_and_nothing_else)
{
    static const char *const good[] = { "1", "-1", "+1", "1.", ".5", "1e3", "1E+3", "1.5e-03", "00012", "inf", "-INF", "+Infinity", "0e99999999999999999999" };
    static const char *const bad[] = { "", "-", "+", ".", "e3", "1e", "1e+", "1e+-3", "1 2", "1,5", "0x10", "1f", "1..2", "--1", "nan", "infi", "1e3.5",
                                       "i", "infinityy", ".e1", "-.", "1_000" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) CHECK(is_number(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(!is_number(bad[i]));
        if (is_number(bad[i])) printf("# %s\n", bad[i]);
    }
}

TEST(numbers_are_those_of_strtod)
{
    char text[64];
    int wrong = 0;
    for (int i = 0; i < 30000; i++) {
        uint64_t bits = random_bits();
        int digits = 1 + (int)(random_bits() % 25), exponent = (int)(random_bits() % (i % 2 ? 60 : 660)) - (i % 2 ? 30 : 330);
        snprintf(text, sizeof text, "%s%.*f", bits & 1 ? "-" : "", digits / 2, (double)(bits >> 11) * 0x1p-40);
        snprintf(text + strlen(text), 16, "e%d", exponent);
        double want = strtod(text, NULL), v = 0;
        float want32 = strtof(text, NULL);
        gr__parsed r = gr__parse_real(text, strlen(text), GR_F64, &v);
        wrong += isinf(want) ? r != GR__OUT_OF_RANGE : r != GR__NUMBER || memcmp(&v, &want, sizeof v) != 0;
        r = gr__parse_real(text, strlen(text), GR_F32, &v);
        wrong += isinf(want32) ? r != GR__OUT_OF_RANGE : r != GR__NUMBER || (float)v != want32;
    }
    CHECK(wrong == 0);
}

TEST(numbers_that_lie_between_two_round_once)
{
    CHECK(parsed("9007199254740993", GR_F64) == 9007199254740992.0);  /* a tie: to even */
    CHECK(parsed("9007199254740993.00000000000000000000000000000000001", GR_F64) == 9007199254740994.0);
    CHECK(parsed("1.00000005960464477539062500000000000000001", GR_F32) == 1 + (double)FLT_EPSILON); /* double says tie */
    CHECK(parsed("1.000000059604644775390625", GR_F32) == 1);
    CHECK(parsed("2.2250738585072011e-308", GR_F64) == 2.2250738585072011e-308);
    CHECK(parsed("5e-324", GR_F64) == DBL_TRUE_MIN && parsed("2e-324", GR_F64) == 0);
    CHECK(signbit(parsed("-0", GR_F32)) && signbit(parsed("-1e-999", GR_F64)));
    CHECK(parsed("3.4028235e38", GR_F32) == (double)FLT_MAX);
}

TEST(numbers_may_be_very_long)
{
    static char text[4000];
    memset(text, '0', 2000);
    strcpy(text + 2000, "1e2");
    CHECK(parsed(text, GR_F64) == 100);
    strcpy(text, "0.");
    memset(text + 2, '0', 2000);
    strcpy(text + 2002, "25e2001");
    CHECK(parsed(text, GR_F64) == 2.5);
    strcpy(text, "9007199254740993."); /* a tie, but for a digit far behind */
    memset(text + 17, '0', 2000);
    strcpy(text + 2017, "1");
    CHECK(parsed(text, GR_F64) == 9007199254740994.0);
    double v;
    CHECK(gr__parse_real("1e99999999999999999999", 22, GR_F64, &v) == GR__OUT_OF_RANGE);
    CHECK(parsed("1e-99999999999999999999", GR_F64) == 0);
    CHECK(gr__parse_real("3.4028236e38", 12, GR_F32, &v) == GR__OUT_OF_RANGE);
}

TEST(whole_numbers_know_their_range)
{
    int64_t v = 0;
    CHECK(gr__parse_int("-9223372036854775808", 20, &v) == GR__NUMBER && v == INT64_MIN);
    CHECK(gr__parse_int("-9223372036854775809", 20, &v) == GR__OUT_OF_RANGE);
    CHECK(gr__parse_int("9223372036854775808", 19, &v) == GR__OUT_OF_RANGE);
    CHECK(gr__parse_int("99999999999999999999x", 21, &v) == GR__NO_NUMBER);
    CHECK(gr__parse_int("-0", 2, &v) == GR__NUMBER && v == 0);
    CHECK(gr__parse_int("-", 1, &v) == GR__NO_NUMBER && gr__parse_int("", 0, &v) == GR__NO_NUMBER);
    CHECK(gr__parse_int("1.0", 3, &v) == GR__NO_NUMBER);
}

static void print_and_read_back(void)
{
    char text[GR__NUMBER_TEXT];
    int wrong = 0;
    for (int i = 0; i < 5000; i++) {
        uint64_t bits = random_bits();
        uint32_t half = (uint32_t)(bits >> 32);
        double d, back = 0;
        float f;
        memcpy(&d, &bits, sizeof d);
        memcpy(&f, &half, sizeof f);
        int n = gr__print_real(text, d, GR_F64);
        if (!isnan(d)) wrong += gr__parse_real(text, (size_t)n, GR_F64, &back) != GR__NUMBER || back != d;
        n = gr__print_real(text, (double)f, GR_F32);
        if (!isnan(f)) wrong += gr__parse_real(text, (size_t)n, GR_F32, &back) != GR__NUMBER || (float)back != f;
    }
    CHECK(wrong == 0);
    gr__print_real(text, 0.1, GR_F64);
    CHECK_STR(text, "0.1");
    gr__print_real(text, (double)0.1f, GR_F32);
    CHECK_STR(text, "0.1");
    gr__print_real(text, 1e300, GR_F64);
    CHECK_STR(text, "1e+300");
    gr__print_real(text, (double)-INFINITY, GR_F64);
    CHECK_STR(text, "-inf");
}

TEST(numbers_printed_read_back_to_the_same_bits) { print_and_read_back(); }

TEST(numbers_do_not_depend_on_the_locale)
{
    static const char *const with_comma[] = { "de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", "ps_AF.UTF-8" };
    bool found = false;
    for (size_t i = 0; i < sizeof with_comma / sizeof *with_comma && !found; i++) found = setlocale(LC_ALL, with_comma[i]);
    if (!found) printf("# no locale with a decimal comma is installed\n");
    print_and_read_back();
    CHECK(parsed("2.5", GR_F64) == 2.5 && parsed("0.1234567890123456789012", GR_F64) == 0.1234567890123456789012);
    CHECK(!is_number("2,5"));
    setlocale(LC_ALL, "C");
}
