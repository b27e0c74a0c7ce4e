/* Images from a registry that the test plays, over plain HTTP: logins, tokens, platforms, transfers that break. Those
 * that mean harm: agent_limits_registry.c. */
#include "tests/unit/agent_registry_kit.h"

static void an_image_becomes_a_layout(void **state)
{
    (void)state;
    expect_fetched((struct ways){0}, ":latest", false);
    expect_fetched((struct ways){0}, NULL, false);
    expect_fetched((struct ways){.nested = true}, ":latest", false);
}

static void who_asks_is_told_to_the_registry_that_wants_to_know(void **state)
{
    (void)state;
    expect_fetched((struct ways){.basic = true}, ":latest", true);
    expect_fetched((struct ways){.token = true}, ":latest", true);
    expect_error((struct ways){.basic = true}, false, ERR_UNAUTHORIZED, "no login is known");
    expect_error((struct ways){.token = true}, false, ERR_UNAUTHORIZED, "no login is known");
}

static void a_transfer_that_breaks_goes_on_where_it_was(void **state)
{
    (void)state;
    struct fetched f = {0};
    struct server *s = server_new((struct ways){.cuts = 2});
    assert_int_equal(fetch_version(s, ":latest", false, &f), 0);
    expect_layout(s, &f);
    assert_int_equal(s->layer_requests, 3);
    assert_int_equal(s->ranges, 2);
    done(&f);
    server_free(s);
    expect_fetched((struct ways){.cuts = 2, .no_range = true}, ":latest", false); /* from the start again */
    expect_error((struct ways){.cuts = 9}, false, ERR_CLOSED, "");
}

static void layers_that_are_named_twice_come_once(void **state)
{
    (void)state;
    struct fetched f = {0};
    struct server *s = server_new((struct ways){.layers = 5});
    assert_int_equal(fetch_version(s, ":latest", false, &f), 0);
    assert_int_equal(s->layer_requests, 1);
    done(&f);
    server_free(s);
}

static void other_bytes_than_the_digest_says_are_refused(void **state)
{
    (void)state;
    struct fetched f = {0};
    expect_error((struct ways){.wrong_layer = true}, false, ERR_CORRUPT, "other bytes");
    expect_error((struct ways){.wrong_config = true}, false, ERR_CORRUPT, "another config");
    struct server *s = server_new((struct ways){0});
    CLEANUP_FREE char *version = xasprintf("@sha256:%064d", 0);
    assert_int_equal(fetch_version(s, version, false, &f), ERR_CORRUPT);
    done(&f);
    server_free(s);
}

static void what_has_no_end_is_cut(void **state)
{
    (void)state;
    expect_error((struct ways){.endless_manifest = true}, false, ERR_TOO_LARGE, "more of image lib/x:latest");
    expect_error((struct ways){.endless_layer = true}, false, ERR_TOO_LARGE, "more of a layer");
    expect_error((struct ways){.redirects = true}, false, ERR_CLOSED, "redirects");
    expect_error((struct ways){.layers = 200}, false, ERR_PROTOCOL, "200 layers");
}

static void what_is_not_there_or_cannot_be_read_is_said(void **state)
{
    (void)state;
    struct fetched f = {0};
    struct server *s = server_new((struct ways){0});
    assert_int_equal(fetch_version(s, ":other", false, &f), ERR_NOT_FOUND);
    assert_non_null(strstr(f.error.message, "has no image lib/x:other"));
    done(&f);
    server_free(s);
    expect_error((struct ways){.no_platform = true}, false, ERR_NOT_FOUND, "for linux/");
    expect_error((struct ways){.broken_json = true}, false, ERR_PROTOCOL, "cannot be read");
    expect_error((struct ways){.errors = true}, false, ERR_CLOSED, "answers 503");
}

static void nobody_there_is_told_apart(void **state)
{
    (void)state;
    struct fetched f = {0};
    struct server *s = server_new((struct ways){0});
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    assert_int_equal(fetch_version(s, ":latest", false, &f), ERR_CLOSED);
    done(&f);
    free(s);
}

static void only_hosts_of_the_configuration_are_asked(void **state)
{
    (void)state;
    char path[] = "/tmp/reeve-registries-XXXXXX";
    struct registry_config c;
    struct error err = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    static const struct {
        const char *text, *words; /* NULL: it is right */
    } rows[] = {{"registries: [{host: a.example}, {host: 'b:5', insecure: true, mirrors: ['https://m:1']}]", NULL},
                {"registries: [{host: '*'}]", NULL},
                {"", NULL},
                {"registries: 7", "a list"},
                {"registries: [{}]", "registries[0].host"},
                {"registries: [{host: a/b}]", "registries[0].host"},
                {"registries: [{host: a, mirror: x}]", "registries[0].mirror: unknown"},
                {"registries: [{host: a, mirrors: ['ftp://x']}]", "registries[0].mirrors"},
                {"registries: [{host: a, mirrors: 'https://m:1'}]", "registries[0].mirrors: a list"},
                {"registries: [{host: a, insecure: maybe}]", "registries[0].insecure: true or false"},
                {"registries: [{host: a}]\ncredentialFile: /etc/x", "credentialFile: unknown"},
                {"registries: [{host: a, mirrors: ['https://u:p@x']}]", "registries[0].mirrors"},
                {"credentialsFile: /nowhere/at/all", "/nowhere/at/all"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(fs_write_file(path, str_of(rows[i].text), 0600, false, NULL), 0);
        int rc = registry_config_read(path, &c, &err);
        assert_int_equal(rc == 0, rows[i].words == NULL);
        if (rows[i].words != NULL && strstr(err.message, rows[i].words) == NULL) {
            fail_msg("%s", err.message);
        }
        if (i == 0) {
            assert_true(registry_host_of(&c, STR("b:5"))->insecure);
            assert_null(registry_host_of(&c, STR("c")));
        } else if (i == 1) {
            assert_non_null(registry_host_of(&c, STR("docker.io")));
        }
        if (rc == 0) {
            registry_config_close(&c);
        }
    }
    unlink(path);
    assert_int_equal(registry_config_read(path, &c, &err), 0); /* no file: no registries */
    assert_null(registry_host_of(&c, STR("docker.io")));
    registry_config_close(&c);
}

static void logins_are_read_as_docker_writes_them(void **state)
{
    (void)state;
    static const char json[] = "{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"YW5uOnNlYzpyZXQ=\"},"
                               "\"r.example:5000\":{\"username\":\"bob\",\"password\":\"pw\"},\"helped.example\":{}}}";
    struct registry_login *list = NULL;
    unsigned count = 0;
    struct error err = {0};
    assert_int_equal(registry_logins_read(STR(json), false, &list, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(list[0].host, "docker.io");
    assert_string_equal(list[0].user, "ann");
    assert_string_equal(list[0].password, "sec:ret");
    assert_string_equal(list[1].host, "r.example:5000");
    static const char legacy[] = "{\"r.example\":{\"auth\":\"YW5uOnNlY3JldA==\"}}";
    assert_int_equal(registry_logins_read(STR(legacy), true, &list, &count, &err), 0);
    assert_int_equal(count, 3);
    static const char *const bad[] = {"", "[]", "{\"auths\":{\"a\":{\"auth\":\"topsecret\"}}}",
                                      "{\"auths\":{\"a\":{\"auth\":\"OnNlY3JldA==\"}}}"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(registry_logins_read(str_of(bad[i]), false, &list, &count, &err), ERR_INVALID);
        assert_null(strstr(err.message, "secret"));
    }
    registry_logins_free(list, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_becomes_a_layout),
        cmocka_unit_test(who_asks_is_told_to_the_registry_that_wants_to_know),
        cmocka_unit_test(a_transfer_that_breaks_goes_on_where_it_was),
        cmocka_unit_test(layers_that_are_named_twice_come_once),
        cmocka_unit_test(other_bytes_than_the_digest_says_are_refused),
        cmocka_unit_test(what_has_no_end_is_cut),
        cmocka_unit_test(what_is_not_there_or_cannot_be_read_is_said),
        cmocka_unit_test(nobody_there_is_told_apart),
        cmocka_unit_test(only_hosts_of_the_configuration_are_asked),
        cmocka_unit_test(logins_are_read_as_docker_writes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
