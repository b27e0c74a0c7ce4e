/* Tokens over HTTPS at three masters: what one of them gave, all take from that moment; what is dead on one is dead on
 * all, from the moment that this was acknowledged. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "tests/unit/kit/master_kit.h"

#define MASTERS 3
#define ROUNDS  10

static int set_up(void **state)
{
    *state = kit_three(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

/* ---- HTTPS by hand: no certificate, one request a connection ---- */

static SSL *connect_to(struct kit *k, unsigned master, SSL_CTX *ctx)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = KIT_WAIT_MS / 1000};
    a.sin_port = htons((uint16_t)atoi(strchr(k->masters[master].addr, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

/* Begun a moment ago, and listens. */
static void wait_listening(struct kit *k, unsigned master)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    a.sin_port = htons((uint16_t)atoi(strchr(k->masters[master].addr, ':') + 1));
    bool listens = false;
    for (int64_t until = kit_now() + KIT_WAIT_MS; !listens; kit_turn(k, 50)) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        listens = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
        close(fd);
        assert_true(listens || kit_now() < until);
    }
}

/* The answer's status, and the whole of it in *answer if it is not NULL. */
static int ask(struct kit *k, unsigned master, const char *token, const char *request, char **answer)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = connect_to(k, master, ctx);
    CLEANUP_BUF struct buf out = BUF_INIT, in = BUF_INIT;
    char part[4096];
    int n, fd = SSL_get_fd(ssl), status = 0;
    buf_printf(&out, "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", request, token);
    assert_int_equal(SSL_write(ssl, out.data, (int)out.size), (int)out.size);
    while ((n = SSL_read(ssl, part, sizeof part)) > 0) {
        buf_append(&in, part, (size_t)n);
    }
    assert_int_equal(sscanf(buf_cstr(&in), "HTTP/1.1 %d", &status), 1);
    if (answer != NULL) {
        *answer = arena_strdup(&k->arena, buf_cstr(&in));
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return status;
}

#define PODS "GET /api/v1/namespaces/default/pods"

static char *token_of(struct client *c, const char *account)
{
    must(c, "account.token", "{name: %s}", account);
    return arena_strdup(&c->kit->arena, text_at(c, "token"));
}

static void give_view(struct client *admin, const char *account)
{
    must(admin, "apply",
         "{objects: [{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: %s}, roleRef: "
         "{kind: ClusterRole, name: view}, subjects: [{kind: ServiceAccount, name: %s}]}]}",
         account, account);
}

/* ---- Tests ---- */

/* Writes are done by the leader, tokens are made by another master, and shown to a third: whoever lags asks before it
 * refuses. */
static void a_token_is_good_on_all_masters_at_once_and_dead_at_once(void **state)
{
    struct kit *k = *state;
    struct client *at[MASTERS];
    for (unsigned i = 0; i < MASTERS; i++) {
        at[i] = client_admin(k, i);
    }
    give_view(at[0], "web");
    for (unsigned round = 0; round < ROUNDS; round++) {
        must(at[round % MASTERS], "create",
             "{object: {apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: default}}}");
        char *token = token_of(at[(round + 1) % MASTERS], "web");
        for (unsigned i = 0; i < MASTERS; i++) {
            assert_int_equal(ask(k, (round + 2 + i) % MASTERS, token, PODS, NULL), 200);
        }
        must(at[round % MASTERS], "delete", "{kind: ServiceAccount, name: web}");
        for (unsigned i = 0; i < MASTERS; i++) {
            assert_int_equal(ask(k, (round + 1 + i) % MASTERS, token, PODS, NULL), 401);
        }
    }
    for (unsigned i = 0; i < MASTERS; i++) {
        client_close(at[i]);
    }
}

static void a_token_of_a_pod_ends_with_it(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    must(admin, "create",
         "{object: {apiVersion: v1, kind: ServiceAccount, metadata: {name: job, namespace: default}}}");
    give_view(admin, "job");
    for (unsigned round = 0; round < ROUNDS; round++) {
        must(admin, "create",
             "{object: {apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {serviceAccountName: "
             "job, containers: [{name: c, image: i}]}}}");
        must(admin, "account.token", "{name: job, boundKind: Pod, boundName: p}");
        char *token = arena_strdup(&k->arena, text_at(admin, "token"));
        for (unsigned i = 0; i < MASTERS; i++) {
            assert_int_equal(ask(k, i, token, PODS, NULL), 200);
        }
        must(admin, "delete", "{kind: Pod, name: p, gracePeriodSeconds: 0}");
        for (unsigned i = 0; i < MASTERS; i++) {
            assert_int_equal(ask(k, i, token, PODS, NULL), 401);
        }
    }
    client_close(admin);
}

static void a_token_of_a_user_is_revoked_with_all_that_is_his(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 1);
    char *answer = NULL;
    must(admin, "apply",
         "{objects: [{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: dev}, roleRef: "
         "{kind: ClusterRole, name: view}, subjects: [{kind: Group, name: dev}]}]}");
    must(admin, "user.token", "{name: kate, groups: [dev]}");
    char *token = arena_strdup(&k->arena, text_at(admin, "token"));
    for (unsigned i = 0; i < MASTERS; i++) {
        assert_int_equal(ask(k, i, token, PODS, NULL), 200);
        assert_int_equal(ask(k, i, token, "GET /api/v1/namespaces/default/secrets", &answer), 403);
        assert_non_null(strstr(answer, "User \\\"kate\\\" cannot list resource"));
    }
    must(admin, "cert.revoke", "{name: kate, role: admin}");
    for (unsigned i = 0; i < MASTERS; i++) {
        assert_int_equal(ask(k, i, token, PODS, NULL), 401);
    }
    must(admin, "user.token", "{name: kate, groups: [dev]}"); /* a new one counts */
    char *next = arena_strdup(&k->arena, text_at(admin, "token"));
    for (unsigned i = 0; i < MASTERS; i++) {
        assert_int_equal(ask(k, i, next, PODS, NULL), 200);
        assert_int_equal(ask(k, i, token, PODS, NULL), 401);
    }
    refused(admin, ERR_FORBIDDEN, "can't be certified", "user.token", "{name: 'system:kube', groups: []}");
    refused(admin, ERR_USAGE, "ttlSeconds", "user.token", "{name: tom, ttlSeconds: 0}");
    client_close(admin);
}

/* Old clients look for it in a Secret, which the leader fills in. */
static void a_secret_gets_a_token_that_lives_as_long_as_it(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 2);
    must(admin, "create",
         "{object: {apiVersion: v1, kind: Secret, type: kubernetes.io/service-account-token, metadata: {name: s, "
         "namespace: default, annotations: {kubernetes.io/service-account.name: early}}}}");
    must(admin, "create",
         "{object: {apiVersion: v1, kind: ServiceAccount, metadata: {name: early, namespace: default}}}");
    give_view(admin, "early");
    struct str token = STR_NONE;
    for (int64_t until = kit_now() + KIT_WAIT_MS; token.n == 0;) {
        must(admin, "get", "{kind: Secret, name: s}");
        token = value_path(admin->result, "object.data.token") == NULL
                    ? STR_NONE
                    : value_path(admin->result, "object.data.token")->str;
        assert_true(kit_now() < until);
    }
    char *text = arena_strndup(&k->arena, token.p, token.n);
    assert_int_equal(value_path(admin->result, "object.data.namespace")->str.n, strlen("default"));
    for (unsigned i = 0; i < MASTERS; i++) {
        assert_int_equal(ask(k, i, text, PODS, NULL), 200);
    }
    must(admin, "delete", "{kind: Secret, name: s}");
    for (unsigned i = 0; i < MASTERS; i++) {
        assert_int_equal(ask(k, i, text, PODS, NULL), 401);
    }
    client_close(admin);
}

/* The leader dies; tokens and keys are in the state. */
static void tokens_outlive_a_leader(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    must(admin, "create",
         "{object: {apiVersion: v1, kind: ServiceAccount, metadata: {name: old, namespace: default}}}");
    give_view(admin, "old");
    char *token = token_of(admin, "old");
    client_close(admin);
    unsigned leader = kit_leader(k);
    kit_stop(k, leader, SIGKILL);
    unsigned other = (leader + 1) % MASTERS;
    assert_int_equal(ask(k, other, token, PODS, NULL), 200);
    admin = client_admin(k, other);
    char *next = token_of(admin, "old");
    assert_int_equal(ask(k, (leader + 2) % MASTERS, next, PODS, NULL), 200);
    client_close(admin);
    kit_start(k, leader);
}

/* Who may what is part of the state. A master that hears of no leader tells old things to administrators alone, not to
 * whoever may have lost his token, or his role, meanwhile. */
static void a_master_that_is_cut_off_takes_no_token_for_stale_reads(void **state)
{
    struct kit *k = *state;
    for (unsigned i = 0; i < MASTERS; i++) {
        wait_listening(k, i);
    }
    struct client *admin = client_admin(k, kit_leader(k));
    must(admin, "create",
         "{object: {apiVersion: v1, kind: ServiceAccount, metadata: {name: cut, namespace: default}}}");
    give_view(admin, "cut");
    char *token = token_of(admin, "cut");
    client_close(admin);
    unsigned left = (kit_leader(k) + 1) % MASTERS;
    for (unsigned i = 0; i < MASTERS; i++) {
        assert_int_equal(ask(k, i, token, PODS "?resourceVersion=0", NULL), 200);
    }
    kit_stop(k, (left + 1) % MASTERS, SIGKILL);
    kit_stop(k, (left + 2) % MASTERS, SIGKILL);
    int status = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; status != 503; kit_turn(k, 200)) {
        status = ask(k, left, token, PODS "?resourceVersion=0", NULL);
        assert_true(kit_now() < until && (status == 200 || status == 503));
    }
    admin = client_admin(k, left);
    must(admin, "list", "{kind: Pod, stale: true}");
    client_close(admin);
    kit_start(k, (left + 1) % MASTERS);
    for (int64_t until = kit_now() + KIT_WAIT_MS; status != 200; kit_turn(k, 200)) {
        status = ask(k, left, token, PODS "?resourceVersion=0", NULL);
        assert_true(kit_now() < until);
    }
    kit_start(k, (left + 2) % MASTERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_good_on_all_masters_at_once_and_dead_at_once),
        cmocka_unit_test(a_token_of_a_pod_ends_with_it),
        cmocka_unit_test(a_token_of_a_user_is_revoked_with_all_that_is_his),
        cmocka_unit_test(a_secret_gets_a_token_that_lives_as_long_as_it),
        cmocka_unit_test(tokens_outlive_a_leader),
        cmocka_unit_test(a_master_that_is_cut_off_takes_no_token_for_stale_reads),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
