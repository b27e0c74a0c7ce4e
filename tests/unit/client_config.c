/* The client's certificate in its configuration: when it may be replaced, and that nothing else is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/api/config.h"
#include "proto/pki/pki.h"
#include "proto/text/text.h"

struct fixture {
    char dir[64], path[96];
    char *ca, *ca_key, *cert[2], *key[2];
    struct arena arena;
    struct config config;
    struct config_target target;
    struct error err;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct pki_identity who = {.role = PKI_ROLE_ADMIN, .name = "kate"};
    arena_init(&f->arena);
    snprintf(f->dir, sizeof f->dir, "/tmp/client-config-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/config", f->dir);
    assert_int_equal(pki_make_ca("test", &f->ca, &f->ca_key, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pki_issue(f->ca, f->ca_key, &who, NULL, 600, &f->cert[i], &f->key[i], NULL), 0);
    }
    struct config_target t = {.context = "here",
                              .cluster = "c1",
                              .ns = "team",
                              .servers = {"127.0.0.1:7400", "127.0.0.1:7401"},
                              .servers_count = 2,
                              .ca_pem = f->ca,
                              .cert_pem = f->cert[0],
                              .key_pem = f->key[0]};
    assert_int_equal(config_write(f->path, &t, "kate", NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    arena_close(&f->arena);
    for (int i = 0; i < 2; i++) {
        free(f->cert[i]);
        pki_free_key(f->key[i]);
    }
    free(f->ca);
    pki_free_key(f->ca_key);
    free(f);
    return 0;
}

static void load(struct fixture *f, const char *path)
{
    if (config_load(&f->arena, path, &f->config, &f->err) != 0 ||
        config_resolve(&f->arena, &f->config, NULL, &f->target, &f->err) != 0) {
        fail_msg("%s", f->err.message);
    }
}

static int replace(struct fixture *f)
{
    return config_replace_cert(&f->config, &f->target, NULL, f->cert[1], f->key[1], &f->err);
}

static void expect(struct fixture *f, const char *path, int which)
{
    struct stat st;
    load(f, path);
    assert_string_equal(f->target.cert_pem, f->cert[which]);
    assert_string_equal(f->target.key_pem, f->key[which]);
    assert_string_equal(f->target.ca_pem, f->ca);
    assert_string_equal(f->target.user, "kate");
    assert_string_equal(f->target.context, "here");
    assert_string_equal(f->target.ns, "team");
    assert_int_equal(f->target.servers_count, 2);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void certificate_and_key_are_replaced_and_all_else_stays(void **state)
{
    struct fixture *f = *state;
    load(f, f->path);
    assert_int_equal(replace(f), 0);
    expect(f, f->path, 1);
}

static void changes_made_meanwhile_are_kept(void **state)
{
    struct fixture *f = *state;
    struct arena other;
    struct config config;
    load(f, f->path);
    arena_init(&other);
    assert_int_equal(config_load(&other, f->path, &config, NULL), 0);
    value_set(&other, config_ensure_entry(&other, &config, "contexts", "context", "here"), "namespace",
              value_cstr(&other, "prod"));
    assert_int_equal(config_save(&config, NULL), 0);
    arena_close(&other);
    assert_int_equal(replace(f), 0);
    load(f, f->path);
    assert_string_equal(f->target.ns, "prod");
    assert_string_equal(f->target.cert_pem, f->cert[1]);
}

static void who_comes_second_writes_nothing(void **state)
{
    struct fixture *f = *state;
    load(f, f->path);
    assert_int_equal(replace(f), 0);
    assert_int_equal(replace(f), ERR_CONFLICT); /* still with the first one in hand */
    expect(f, f->path, 1);
}

static void a_link_stays_a_link(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char link[96];
    snprintf(link, sizeof link, "%s/link", f->dir);
    assert_int_equal(symlink("config", link), 0);
    load(f, link);
    assert_int_equal(replace(f), 0);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    expect(f, f->path, 1);
}

static void files_of_their_own_are_left_alone(void **state)
{
    struct fixture *f = *state;
    char cert_path[96], key_path[96];
    snprintf(cert_path, sizeof cert_path, "%s/kate.crt", f->dir);
    snprintf(key_path, sizeof key_path, "%s/kate.key", f->dir);
    assert_int_equal(pki_write_file(cert_path, f->cert[0], strlen(f->cert[0]), 0644, NULL), 0);
    assert_int_equal(pki_write_file(key_path, f->key[0], strlen(f->key[0]), 0600, NULL), 0);
    struct buf text = BUF_INIT, ca = BUF_INIT;
    base64_write(&ca, f->ca, strlen(f->ca));
    buf_printf(&text,
               "current-context: here\n"
               "clusters: [{name: c1, cluster: {server: \"127.0.0.1:7400\", certificate-authority-data: %s}}]\n"
               "users: [{name: kate, user: {client-certificate: kate.crt, client-key: kate.key}}]\n"
               "contexts: [{name: here, context: {cluster: c1, user: kate}}]\n",
               buf_cstr(&ca));
    assert_int_equal(pki_write_file(f->path, text.data, text.size, 0600, NULL), 0);
    buf_close(&text);
    buf_close(&ca);
    load(f, f->path);
    assert_int_equal(replace(f), ERR_UNSUPPORTED);
    assert_non_null(strstr(f->err.message, "files of their own"));
}

static void a_file_of_somebody_else_is_left_alone(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0) {
        skip(); /* only root can give a file away */
    }
    assert_int_equal(chown(f->path, 65534, 65534), 0);
    load(f, f->path);
    assert_int_equal(replace(f), ERR_UNSUPPORTED);
    assert_non_null(strstr(f->err.message, "belongs to another user"));
}

int main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(certificate_and_key_are_replaced_and_all_else_stays),
        WITH(changes_made_meanwhile_are_kept),
        WITH(who_comes_second_writes_nothing),
        WITH(a_link_stays_a_link),
        WITH(files_of_their_own_are_left_alone),
        WITH(a_file_of_somebody_else_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
