/* Quantities: form, units, rounding, comparison, text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/mem.h"
#include "proto/model/quantity.h"

static void values_in_both_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t milli, units;
    } cases[] = {
        {"0", 0, 0},
        {"1", 1000, 1},
        {"100m", 100, 1},
        {"1500m", 1500, 2},
        {"0.5", 500, 1},
        {".5", 500, 1},
        {"5.", 5000, 5},
        {"+2", 2000, 2},
        {"-2", -2000, -2},
        {"-1500m", -1500, -2},
        {"1.5Gi", 1610612736000, 1610612736},
        {"128Mi", 134217728000, 134217728},
        {"2G", 2000000000000, 2000000000},
        {"1k", 1000000, 1000},
        {"1e3", 1000000, 1000},
        {"1E3", 1000000, 1000},
        {"1e-3", 1, 1},
        {"12e+2", 1200000, 1200},
        {"1n", 1, 1},
        {"1u", 1, 1},
        {"1000001n", 2, 1},
        {"0.0001", 1, 1},
        {"0.1Ki", 102400, 103},
        {"000000000000000000000000001", 1000, 1},
        {"1.0000000000000000000000000000", 1000, 1},
        {"1.0000000000000000000000000001", 1001, 2},
        {"100000000000000000000000000e-26", 1000, 1},
        {"0e999999999", 0, 0},
        {"1e-999999999", 1, 1},
        {"4611686018427387m", 4611686018427387, 4611686018428},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t milli = -77, units = -77;
        assert_true(quantity_valid(str_of(cases[i].text)));
        assert_true(quantity_milli(str_of(cases[i].text), &milli));
        assert_true(quantity_units(str_of(cases[i].text), &units));
        assert_int_equal(milli, cases[i].milli);
        assert_int_equal(units, cases[i].units);
    }
}

static void malformed_text_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "m",     ".",   "-",    "+",   "1 ",  " 1",   "1mm",
                                      "1K",  "1ki",   "1KI", "1i",   "1e",  "1e+", "1e1m", "0x10",
                                      "1,5", "1.2.3", "--1", "1Mii", "inf", "1-",  "e3",   "1e1.5"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t v;
        assert_false(quantity_valid(str_of(bad[i])));
        assert_false(quantity_milli(str_of(bad[i]), &v));
    }
    assert_false(quantity_valid(STR_NONE));
    assert_false(quantity_valid((struct str){"1\0", 2}));
}

static void too_large_is_refused_not_wrapped(void **state)
{
    (void)state;
    int64_t v;
    assert_true(quantity_units(STR("4Ei"), &v) && v == 1ll << 62);
    assert_true(quantity_units(STR("4611686018427387904"), &v) && v == 1ll << 62);
    assert_false(quantity_units(STR("4611686018427387905"), &v));
    assert_false(quantity_units(STR("5Ei"), &v));
    assert_false(quantity_milli(STR("4Ei"), &v));
    assert_false(quantity_units(STR("1e400"), &v));
    assert_false(quantity_units(STR("99999999999999999999999999999999999999999"), &v));
    assert_false(quantity_units(STR("9999999999999999999Ei"), &v));
    assert_true(quantity_valid(STR("9999999999999999999Ei")));
    assert_true(quantity_units(STR("-4Ei"), &v) && v == -(1ll << 62));
}

static void comparison_is_by_value(void **state)
{
    (void)state;
    assert_int_equal(quantity_cmp(STR("1"), STR("1000m")), 0);
    assert_int_equal(quantity_cmp(STR("1Gi"), STR("1G")), 1);
    assert_int_equal(quantity_cmp(STR("1n"), STR("2n")), -1);
    assert_int_equal(quantity_cmp(STR("-1"), STR("1")), -1);
    assert_int_equal(quantity_cmp(STR("-1"), STR("-2")), 1);
    assert_int_equal(quantity_cmp(STR("-0"), STR("0")), 0);
    assert_int_equal(quantity_cmp(STR("1e300"), STR("1")), 1);
    assert_int_equal(quantity_cmp(STR("1Ei"), STR("0.5Ei")), 1);
    assert_int_equal(quantity_cmp(STR("nonsense"), STR("1")), 0);
}

static void the_canonical_text_keeps_value_and_family(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"0", "0"},
        {"-0", "0"},
        {"0Mi", "0"},
        {"0.000", "0"},
        {"0.01", "10m"},
        {"10m", "10m"},
        {".5", "500m"},
        {"1000m", "1"},
        {"1.5", "1500m"},
        {"+2", "2"},
        {"-2.50", "-2500m"},
        {"0001", "1"},
        {"1000", "1k"},
        {"1500", "1500"},
        {"2000000", "2M"},
        {"1048576", "1048576"},
        {"1024Ki", "1Mi"},
        {"1Mi", "1Mi"},
        {"0.5Gi", "512Mi"},
        {"1.5Gi", "1536Mi"},
        {"1000Ki", "1000Ki"},
        {"1Ki", "1Ki"},
        {"0.5Ki", "512"},
        {"0.1Mi", "104857600m"},
        {"1e3", "1e3"},
        {"1E3", "1e3"},
        {"1e4", "10e3"},
        {"1e-3", "1e-3"},
        {"12e0", "12"},
        {"100e-2", "1"},
        {"1n", "1n"},
        {"1000u", "1m"},
        {"0.1n", "1n"},
        {"1E", "1E"},
        {"1000P", "1E"},
        {"1000E", "9223372036854775807"},
        {"16Ei", "9223372036854775807"},
        {"4Ei", "4Ei"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char out[QUANTITY_SIZE], again[QUANTITY_SIZE];
        assert_true(quantity_canonical(str_of(cases[i].text), out));
        assert_string_equal(out, cases[i].want);
        assert_true(quantity_canonical(str_of(out), again));
        assert_string_equal(again, out);
    }
    char out[QUANTITY_SIZE] = "untouched";
    assert_false(quantity_canonical(STR("1x"), out));
    assert_false(quantity_canonical(STR(""), out));
    assert_false(quantity_canonical(STR("1.00000000000000000000000000000001"), out));
    assert_string_equal(out, "untouched");
}

/* Any text that is kept exactly: the same value, and nothing to do the second time. */
static void any_text_means_the_same_when_canonical(void **state)
{
    (void)state;
    static const char *const suffixes[] = {"", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e2", "e-4", "E1"};
    struct rng rng = {.state = 33};
    for (unsigned i = 0; i < 20000; i++) {
        char text[64], out[QUANTITY_SIZE], again[QUANTITY_SIZE];
        snprintf(text, sizeof text, "%s%u.%0*u%s", rng_below(&rng, 4) == 0 ? "-" : "",
                 (unsigned)rng_below(&rng, 100000), (int)rng_below(&rng, 4), (unsigned)rng_below(&rng, 1000),
                 suffixes[rng_below(&rng, ARRAY_SIZE(suffixes))]);
        assert_true(quantity_canonical(str_of(text), out));
        assert_int_equal(quantity_cmp(str_of(text), str_of(out)), 0);
        assert_true(quantity_canonical(str_of(out), again));
        assert_string_equal(again, out);
    }
}

static void assert_milli(int64_t v, const char *want)
{
    char out[QUANTITY_SIZE];
    quantity_format_milli(v, out);
    assert_string_equal(out, want);
}

static void assert_bytes(int64_t v, const char *want)
{
    char out[QUANTITY_SIZE];
    quantity_format_bytes(v, out);
    assert_string_equal(out, want);
}

static void text_is_short_and_canonical(void **state)
{
    (void)state;
    assert_milli(0, "0");
    assert_milli(100, "100m");
    assert_milli(1500, "1500m");
    assert_milli(2000, "2");
    assert_milli(2000000, "2k");
    assert_milli(-1, "-1m");
    assert_bytes(0, "0");
    assert_bytes(134217728, "128Mi");
    assert_bytes(1024, "1Ki");
    assert_bytes(1000, "1k");
    assert_bytes(1025, "1025");
    assert_bytes(2000000000, "2G");
    assert_bytes(1ll << 62, "4Ei");
    assert_bytes(INT64_MIN, "-8Ei");
    assert_bytes(INT64_MAX, "9223372036854775807");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_in_both_units),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(too_large_is_refused_not_wrapped),
        cmocka_unit_test(comparison_is_by_value),
        cmocka_unit_test(the_canonical_text_keeps_value_and_family),
        cmocka_unit_test(any_text_means_the_same_when_canonical),
        cmocka_unit_test(text_is_short_and_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
