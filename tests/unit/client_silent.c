/* The api where no master answers at any address: it says so, and soon. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/api/api.h"
#include "client/api/api_internal.h"
#include "proto/pki/pki.h"

static int write_once(struct api *api, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc = api_write(api, &a, "create", value_map(&a), &reply, err);
    if (rc == 0) {
        assert_true(mp_bool(mp_get(reply.result, "ok"), false));
    }
    return rc;
}

static void nobody_answers(const char *first, const char *second, int64_t connect_ms, struct error *err)
{
    char *ca, *ca_key, *cert, *key;
    struct pki_identity admin = {PKI_ROLE_ADMIN, "admin"};
    assert_int_equal(pki_make_ca("test", &ca, &ca_key, err), 0);
    assert_int_equal(pki_issue(ca, ca_key, &admin, NULL, 3600, &cert, &key, err), 0);
    struct config_target t = {.context = "t",
                              .cluster = "test",
                              .servers = {first, second},
                              .servers_count = 2,
                              .ca_pem = ca,
                              .cert_pem = cert,
                              .key_pem = key};
    struct api *api;
    assert_int_equal(api_new(&t, 3600000, false, &api, err), 0);
    api->connect_ms = connect_ms;
    assert_int_not_equal(write_once(api, err), 0); /* long before its deadline: the test would be killed */
    assert_int_not_equal(err->code, ERR_UNKNOWN_OUTCOME);
    api_free(api);
    free(ca);
    free(cert);
    pki_free_key(ca_key);
    pki_free_key(key);
}

static void when_nobody_listens_it_says_so_soon(void **state)
{
    (void)state;
    struct error err = {0};
    nobody_answers("127.0.0.1:1", "127.0.0.1:2", API_CONNECT_MS, &err);
    assert_non_null(strstr(err.message, "no master of cluster \"test\" answers (127.0.0.1:1, 127.0.0.1:2)"));
    assert_non_null(strstr(err.message, "connection refused"));
}

/* A machine that is not there says nothing at all, as a full queue of connections does. */
static void when_machines_are_silent_it_says_so_long_before_its_deadline(void **state)
{
    (void)state;
    struct error err = {0};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    char silent[64];
    int fds[8], listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(fds[i], (const struct sockaddr *)&at, sizeof at);
    }
    snprintf(silent, sizeof silent, "127.0.0.1:%d", ntohs(at.sin_port));
    nobody_answers(silent, "127.0.0.1:1", 300, &err);
    assert_non_null(strstr(err.message, "no master of cluster \"test\" answers"));
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        close(fds[i]);
    }
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(when_nobody_listens_it_says_so_soon),
        cmocka_unit_test(when_machines_are_silent_it_says_so_long_before_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
