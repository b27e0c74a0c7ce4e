/* Several CAs in one text, who has signed what, and masters that are refused. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/pki/pki.h"

struct fixture {
    char *ca[2], *ca_key[2], *cert[2], *key[2], *both, *turned;
    char print[2][33];
};

static int set_up(void **state)
{
    static struct fixture f;
    struct pki_identity who = {.role = PKI_ROLE_NODE, .name = "n1"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pki_make_ca("reeve", &f.ca[i], &f.ca_key[i], NULL), 0);
        assert_int_equal(pki_issue(f.ca[i], f.ca_key[i], &who, NULL, 600, &f.cert[i], &f.key[i], NULL), 0);
        assert_int_equal(pki_cert_fingerprint(f.ca[i], f.print[i], NULL), 0);
    }
    f.both = xasprintf("%s%s", f.ca[0], f.ca[1]);
    f.turned = xasprintf("%s%s", f.ca[1], f.ca[0]);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        free(f->ca[i]);
        pki_free_key(f->ca_key[i]);
        free(f->cert[i]);
        pki_free_key(f->key[i]);
    }
    free(f->both);
    free(f->turned);
    return 0;
}

static void cas_are_found_by_their_fingerprints(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        CLEANUP_FREE char *found = pki_find_ca(f->both, f->print[i]);
        assert_string_equal(found, f->ca[i]);
        assert_null(pki_find_ca(f->ca[1 - i], f->print[i]));
    }
    assert_null(pki_find_ca("-----BEGIN CERTIFICATE-----\nnothing", f->print[0]));
}

static void the_ca_of_a_key_comes_first(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *a = pki_issuer_first(f->both, f->ca_key[1]), *b = pki_issuer_first(f->both, f->ca_key[0]);
    assert_string_equal(a, f->turned);
    assert_string_equal(b, f->both);
    assert_null(pki_issuer_first(f->both, f->key[0]));
}

static void a_standing_names_the_issuer_and_all_that_is_trusted_in_any_order(void **state)
{
    struct fixture *f = *state;
    char a[PKI_STANDING_SIZE], b[PKI_STANDING_SIZE], c[PKI_STANDING_SIZE];
    struct error err = {0};
    assert_int_equal(pki_standing(f->both, f->cert[0], a, &err), 0);
    assert_int_equal(pki_standing(f->turned, f->cert[0], b, &err), 0);
    assert_string_equal(a, b);
    assert_memory_equal(a, f->print[0], 32);
    assert_int_equal(pki_standing(f->both, f->cert[1], b, &err), 0);
    assert_memory_equal(b, f->print[1], 32);
    assert_string_equal(a + 33, b + 33);
    assert_int_equal(pki_standing(f->ca[0], f->cert[0], c, &err), 0);
    assert_memory_equal(a, c, 33);
    assert_string_not_equal(a, c);
    assert_int_equal(pki_standing(f->ca[0], f->cert[1], c, &err), ERR_NOT_FOUND);
}

static void a_standing_is_compared_as_it_is_told(void **state)
{
    struct fixture *f = *state;
    const char *cas[] = {f->ca[0], f->ca[1], f->both, f->turned, "nothing"};
    char given[ARRAY_SIZE(cas) * 2][PKI_STANDING_SIZE] = {{0}};
    unsigned n = 1; /* the first is "" */
    for (unsigned i = 0; i < ARRAY_SIZE(cas) * 2; i++) {
        n += pki_standing(cas[i / 2], f->cert[i % 2], given[n], NULL) == 0;
    }
    assert_int_equal(n, 1 + 2 + 4);
    for (unsigned i = 0; i < ARRAY_SIZE(cas) * 2; i++) {
        char own[PKI_STANDING_SIZE];
        bool has = pki_standing(cas[i / 2], f->cert[i % 2], own, NULL) == 0;
        for (unsigned j = 0; j < n; j++) {
            assert_int_equal(pki_stands_otherwise(cas[i / 2], f->cert[i % 2], given[j]),
                             has && strcmp(own, given[j]) != 0);
        }
    }
}

static void refused_masters_are_named_by_id_range_and_serial(void **state)
{
    (void)state;
    struct pki_identity m4 = {.role = PKI_ROLE_MASTER, .name = "4"}, m40 = {.role = PKI_ROLE_MASTER, .name = "40"},
                        n4 = {.role = PKI_ROLE_NODE, .name = "4"}, odd = {.role = PKI_ROLE_MASTER, .name = "4x"};
    static const char *const with[] = {"4", "1-3 4", "3-5", "1 2-9 11", "#21aa", "7 #21aa"};
    for (size_t i = 0; i < ARRAY_SIZE(with); i++) {
        assert_true(pki_refused_valid(str_of(with[i])));
        assert_true(pki_refused_has(str_of(with[i]), &m4, "21aa"));
        assert_false(pki_refused_has(str_of(with[i]), &m40, "21ab"));
        assert_false(pki_refused_has(str_of(with[i]), &n4, "21aa"));
        assert_false(pki_refused_has(str_of(with[i]), &odd, "21ab"));
    }
    static const char *const bad[] = {"4,5", "5-3", "-", "#", "#XY", "99999999999999999999", "1-", "a"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(pki_refused_valid(str_of(bad[i])));
    }
    assert_true(pki_refused_valid(STR("")));
    assert_false(pki_refused_has(STR(""), &m4, "21aa"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cas_are_found_by_their_fingerprints),
        cmocka_unit_test(the_ca_of_a_key_comes_first),
        cmocka_unit_test(a_standing_is_compared_as_it_is_told),
        cmocka_unit_test(a_standing_names_the_issuer_and_all_that_is_trusted_in_any_order),
        cmocka_unit_test(refused_masters_are_named_by_id_range_and_serial),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
