/* When certificates are renewed, and how a pair of files is replaced as one. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "proto/pki/pki.h"

#define DAY_S INT64_C(86400)

static void renewal_is_due_at_two_thirds_or_a_little_earlier(void **state)
{
    (void)state;
    const int64_t from = 1000000, lives[] = {9, 33, 3600, 90 * DAY_S, 365 * DAY_S, 20 * 365 * DAY_S};
    for (size_t i = 0; i < ARRAY_SIZE(lives); i++) {
        int64_t latest = from + lives[i] / 3 * 2;
        assert_int_equal(pki_renew_at_s(from, from + lives[i], 0), latest);
        int64_t earliest = pki_renew_at_s(from, from + lives[i], UINT32_MAX);
        assert_in_range(latest - earliest, 0, lives[i] / 30);
        assert_true(lives[i] < DAY_S || latest - earliest > lives[i] / 31);
    }
}

static void pauses_between_failures_double_up_to_a_limit(void **state)
{
    (void)state;
    const int64_t lives[] = {9, 33, 3600, 90 * DAY_S};
    for (size_t i = 0; i < ARRAY_SIZE(lives); i++) {
        int64_t before = 0;
        for (unsigned failures = 0; failures < 100; failures++) {
            int64_t pause = pki_renew_pause_ms(0, lives[i], failures);
            assert_true(pause >= before);
            assert_in_range(pause, 1000, 3600 * 1000);
            before = pause;
        }
    }
    assert_int_equal(pki_renew_pause_ms(0, 90 * DAY_S, 0), 60 * 1000);
    assert_int_equal(pki_renew_pause_ms(0, 90 * DAY_S, 1), 120 * 1000);
    assert_int_equal(pki_renew_pause_ms(0, 90 * DAY_S, 50), 3600 * 1000);
}

static void states_follow_the_life(void **state)
{
    (void)state;
    static const struct {
        bool ca;
        int64_t life_days, day;
        enum pki_state want;
    } rows[] = {
        {false, 90, 0, PKI_STATE_OK},           {false, 90, 59, PKI_STATE_OK},
        {false, 90, 60, PKI_STATE_RENEWING},    {false, 90, 62, PKI_STATE_RENEWING},
        {false, 90, 64, PKI_STATE_EXPIRING},    {false, 90, 89, PKI_STATE_EXPIRING},
        {false, 90, 90, PKI_STATE_EXPIRED},     {false, 365, 334, PKI_STATE_RENEWING},
        {false, 365, 336, PKI_STATE_EXPIRING},  {true, 7300, 6934, PKI_STATE_OK},
        {true, 7300, 6936, PKI_STATE_EXPIRING}, {true, 7300, 7301, PKI_STATE_EXPIRED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum pki_state got = pki_cert_state(rows[i].ca, 5, 5 + rows[i].life_days * DAY_S, 5 + rows[i].day * DAY_S);
        if (got != rows[i].want) {
            fail_msg("row %zu: %s", i, pki_state_text(got));
        }
    }
}

static void short_lives_are_backdated_less(void **state)
{
    (void)state;
    char *ca, *ca_key, *cert, *key;
    int64_t from, until;
    struct pki_identity who = {.role = PKI_ROLE_NODE, .name = "n1"};
    assert_int_equal(pki_make_ca("test", &ca, &ca_key, NULL), 0);
    assert_int_equal(pki_issue(ca, ca_key, &who, NULL, 30, &cert, &key, NULL), 0);
    assert_int_equal(pki_cert_info(cert, NULL, &from, &until, NULL), 0);
    assert_int_equal(until - from, 33);
    free(cert);
    pki_free_key(key);
    free(ca);
    pki_free_key(ca_key);
}

/* ---- The pair ---- */

struct fixture {
    char dir[64], cert_path[96], key_path[96];
    char *cert[2], *key[2];
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char *ca, *ca_key;
    struct pki_identity who = {.role = PKI_ROLE_NODE, .name = "n1"};
    snprintf(f->dir, sizeof f->dir, "/tmp/reeve-pair-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->cert_path, sizeof f->cert_path, "%s/x.crt", f->dir);
    snprintf(f->key_path, sizeof f->key_path, "%s/x.key", f->dir);
    assert_int_equal(pki_make_ca("test", &ca, &ca_key, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pki_issue(ca, ca_key, &who, NULL, 600, &f->cert[i], &f->key[i], NULL), 0);
    }
    free(ca);
    pki_free_key(ca_key);
    *state = f;
    return 0;
}

static unsigned files_in(const char *dir)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    failpoint_disarm_all();
    unlink(f->cert_path);
    unlink(f->key_path);
    assert_int_equal(rmdir(f->dir), 0); /* nothing else is left behind */
    for (int i = 0; i < 2; i++) {
        free(f->cert[i]);
        pki_free_key(f->key[i]);
    }
    free(f);
    return 0;
}

static int write_pair(struct fixture *f, int which)
{
    return pki_write_pair(f->cert_path, f->key_path, f->cert[which], f->key[which], NULL);
}

static void expect_pair(struct fixture *f, int which)
{
    char *cert, *key;
    struct error err = {0};
    assert_int_equal(pki_read_pair(f->cert_path, f->key_path, &cert, &key, &err), 0);
    assert_string_equal(cert, f->cert[which]);
    assert_string_equal(key, f->key[which]);
    free(cert);
    pki_free_key(key);
    assert_int_equal(files_in(f->dir), 2);
}

static void a_pair_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(write_pair(f, 0), 0);
    expect_pair(f, 0);
    assert_int_equal(write_pair(f, 1), 0);
    expect_pair(f, 1);
    assert_int_equal(stat(f->key_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_crash_between_the_files_leaves_one_of_the_pairs(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *point;
        int want;
    } rows[] = {{"pair_before_key=error", 0}, {"pair_before_cert=error", 1}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *bad;
        assert_int_equal(write_pair(f, 0), 0);
        failpoint_disarm_all();
        assert_true(failpoint_arm(rows[i].point, &bad));
        assert_int_equal(write_pair(f, 1), ERR_IO);
        assert_int_equal(files_in(f->dir), 3);
        expect_pair(f, rows[i].want);
        expect_pair(f, rows[i].want); /* and again, as it was tidied up */
        assert_int_equal(write_pair(f, 1), 0);
        expect_pair(f, 1);
    }
}

/* A key that somebody has put there by hand is not mended away. */
static void files_that_never_were_a_pair_are_returned_as_they_are(void **state)
{
    struct fixture *f = *state;
    char *cert, *key;
    assert_int_equal(pki_write_file(f->cert_path, f->cert[0], strlen(f->cert[0]), 0644, NULL), 0);
    assert_int_equal(pki_write_file(f->key_path, f->key[1], strlen(f->key[1]), 0600, NULL), 0);
    assert_int_equal(pki_read_pair(f->cert_path, f->key_path, &cert, &key, NULL), 0);
    assert_false(pki_pair_fits(cert, key));
    assert_string_equal(cert, f->cert[0]);
    assert_string_equal(key, f->key[1]);
    free(cert);
    pki_free_key(key);
    assert_false(pki_pair_fits("junk", f->key[0]));
    assert_false(pki_pair_fits(f->cert[0], "junk"));
}

static void missing_files_are_named(void **state)
{
    struct fixture *f = *state;
    char *cert, *key;
    struct error err = {0};
    assert_int_equal(pki_read_pair(f->cert_path, f->key_path, &cert, &key, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, f->cert_path));
    assert_int_equal(pki_write_file(f->cert_path, f->cert[0], strlen(f->cert[0]), 0644, NULL), 0);
    assert_int_equal(pki_read_pair(f->cert_path, f->key_path, &cert, &key, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, f->key_path));
    assert_null(cert);
}

int main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renewal_is_due_at_two_thirds_or_a_little_earlier),
        cmocka_unit_test(pauses_between_failures_double_up_to_a_limit),
        cmocka_unit_test(states_follow_the_life),
        cmocka_unit_test(short_lives_are_backdated_less),
        WITH(a_pair_is_replaced),
        WITH(a_crash_between_the_files_leaves_one_of_the_pairs),
        WITH(files_that_never_were_a_pair_are_returned_as_they_are),
        WITH(missing_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
