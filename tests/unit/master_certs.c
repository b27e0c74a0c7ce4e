/* Certificates: masters renew their own, sign those of nodes and administrators again, and tell who has which. */
#include <fcntl.h>
#include <openssl/pem.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/timefmt.h"
#include "proto/pki/x509.h"
#include "tests/unit/kit/master_kit.h"

#define DAY_S INT64_C(86400)

static int set_up(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static char *path_of(struct kit *k, unsigned master, const char *file)
{
    return arena_printf(&k->arena, "%s/%s", k->masters[master].dir, file);
}

static char *file_of(struct kit *k, unsigned master, const char *file)
{
    char *text = NULL;
    struct error err = {0};
    if (pki_read_file(path_of(k, master, file), 1 << 20, &text, NULL, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return text;
}

/* Replaces the pair of a master that is stopped: an identity, a life that ends valid_s from now. */
static void put_pair(struct kit *k, unsigned master, const char *name, int64_t valid_s)
{
    struct pki_identity who = {.role = PKI_ROLE_MASTER};
    char *cert, *key;
    struct error err = {0};
    snprintf(who.name, sizeof who.name, "%s", name);
    if (pki_issue(k->ca, k->ca_key, &who, "127.0.0.1", valid_s, &cert, &key, &err) != 0 ||
        pki_write_pair(path_of(k, master, "master.crt"), path_of(k, master, "master.key"), cert, key, &err) != 0) {
        fail_msg("%s", err.message);
    }
    free(cert);
    pki_free_key(key);
}

static void expect_log(struct kit *k, unsigned master, const char *text)
{
    char *log = kit_log(k, master);
    if (strstr(log, text) == NULL) {
        fail_msg("expected \"%s\" in: %s", text, log);
    }
    free(log);
}

static int64_t until_of(struct kit *k, unsigned master)
{
    char *cert = file_of(k, master, "master.crt");
    int64_t until_s;
    assert_int_equal(pki_cert_info(cert, NULL, NULL, &until_s, NULL), 0);
    free(cert);
    return until_s;
}

static int64_t now_s(void)
{
    return env_wall_ms(env_real()) / 1000;
}

/* ---- Masters ---- */

static void test_certificates_of_init_live_ninety_days_and_that_of_the_administrator_a_year(void **state)
{
    struct kit *k = *state;
    assert_in_range(until_of(k, 0) - now_s(), 90 * DAY_S - 300, 90 * DAY_S);
    struct client *c = client_admin(k, 0);
    must(c, "cert.status", "{}");
    assert_string_equal(text_at(c, "own.subject"), "O=reeve:masters CN=1");
    assert_string_equal(text_at(c, "own.state"), "ok");
    assert_string_equal(text_at(c, "ca.subject"), "O=reeve:ca CN=reeve");
    assert_string_equal(text_at(c, "ca.state"), "ok");
    int64_t not_after, renew_by;
    assert_true(timefmt_parse(str_of(text_at(c, "own.notAfter")), &not_after));
    assert_true(timefmt_parse(str_of(text_at(c, "own.renewBy")), &renew_by));
    assert_int_equal(not_after / 1000, until_of(k, 0));
    assert_in_range(not_after - renew_by, 30 * DAY_S * 1000, 30 * DAY_S * 1000 + 200 * 1000);
    must(c, "cluster", "{}");
    assert_int_equal(value_count(value_get(c->result, "certificateWarnings")), 0);
    client_close(c);
}

static void test_a_master_with_an_expired_certificate_renews_it_and_starts(void **state)
{
    struct kit *k = *state;
    kit_stop(k, 0, SIGTERM);
    put_pair(k, 0, "1", -3600);
    kit_start(k, 0);
    kit_leader(k);
    expect_log(k, 0, "the certificate of this master expired on 20");
    assert_in_range(until_of(k, 0) - now_s(), 90 * DAY_S - 300, 90 * DAY_S);
}

/* The clock ran ahead by a month while it was renewed, and was put right since. */
static void test_a_certificate_from_the_future_is_replaced(void **state)
{
    struct kit *k = *state;
    kit_stop(k, 0, SIGTERM);
    put_pair(k, 0, "1", 90 * DAY_S);
    char *text = file_of(k, 0, "master.crt");
    X509 *cert = pki_x509_parse(text, NULL);
    EVP_PKEY *ca_key = pki_key_parse(k->ca_key, NULL);
    ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(now_s() + 30 * DAY_S));
    assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    FILE *f = fopen(path_of(k, 0, "master.crt"), "w");
    assert_int_equal(PEM_write_X509(f, cert), 1);
    fclose(f);
    X509_free(cert);
    EVP_PKEY_free(ca_key);
    free(text);
    kit_start(k, 0);
    kit_leader(k);
    expect_log(k, 0, "the certificate of this master is valid only from 20");
}

static void test_a_certificate_with_another_id_is_replaced(void **state)
{
    struct kit *k = *state;
    kit_stop(k, 0, SIGTERM);
    put_pair(k, 0, "7", 3600);
    kit_start(k, 0);
    kit_leader(k);
    expect_log(k, 0, "master.crt is not that of master 1");
    struct pki_identity who = {0};
    for (int64_t until = kit_now() + KIT_WAIT_MS; strcmp(who.name, "1") != 0; kit_turn(k, 20)) {
        char *cert = file_of(k, 0, "master.crt");
        assert_int_equal(pki_cert_info(cert, &who, NULL, NULL, NULL), 0);
        free(cert);
        assert_true(kit_now() < until);
    }
}

static void test_a_crash_between_key_and_certificate_is_mended_at_the_start(void **state)
{
    struct kit *k = *state;
    kit_stop(k, 0, SIGTERM);
    char *old = file_of(k, 0, "master.crt");
    put_pair(k, 0, "1", 7200);
    char *fresh = file_of(k, 0, "master.crt");
    struct error err = {0};
    assert_int_equal(pki_write_file(path_of(k, 0, "master.crt.next"), fresh, strlen(fresh), 0644, &err), 0);
    assert_int_equal(pki_write_file(path_of(k, 0, "master.crt"), old, strlen(old), 0644, &err), 0);
    kit_start(k, 0);
    kit_leader(k);
    char *now = file_of(k, 0, "master.crt");
    assert_string_equal(now, fresh);
    assert_int_not_equal(access(path_of(k, 0, "master.crt.next"), F_OK), 0);
    free(old);
    free(fresh);
    free(now);
}

/* The certificate that is presented, not only that in the file: a connection shows it. */
static int64_t presented_until(struct kit *k, unsigned master)
{
    struct client *c = client_admin(k, master);
    must(c, "cert.status", "{}");
    int64_t ms;
    assert_true(timefmt_parse(str_of(text_at(c, "own.notAfter")), &ms));
    client_close(c);
    return ms / 1000;
}

static void test_a_due_certificate_is_renewed_without_a_restart_and_sessions_stay(void **state)
{
    struct kit *k = *state;
    kit_stop(k, 0, SIGTERM);
    put_pair(k, 0, "1", 4); /* 4.4 s of life */
    char *key = file_of(k, 0, "master.key");
    kit_start(k, 0);
    kit_leader(k);
    struct client *c = client_admin(k, 0);
    must(c, "cert.status", "{}");
    for (int64_t until = kit_now() + KIT_WAIT_MS; presented_until(k, 0) - now_s() < DAY_S;) {
        assert_true(kit_now() < until);
        kit_turn(k, 50);
    }
    assert_non_null(c->rpc); /* still the same connection */
    must(c, "cert.status", "{}");
    expect_log(k, 0, "identity: certificate renewed, valid until 20");
    char *new_key = file_of(k, 0, "master.key");
    assert_string_not_equal(key, new_key);
    pki_free_key(key);
    pki_free_key(new_key);
    client_close(c);
}

/* The pair can't be written: it is used all the same, the cluster's status warns, and a later attempt is written. */
static void test_a_disk_that_refuses_does_not_stop_renewal(void **state)
{
    struct kit *k = *state;
    kit_stop(k, 0, SIGTERM);
    put_pair(k, 0, "1", 4);
    char *obstacle = path_of(k, 0, "master.crt.next"), *inside = path_of(k, 0, "master.crt.next/x");
    assert_int_equal(mkdir(obstacle, 0700), 0);
    assert_int_equal(mkdir(inside, 0700), 0);
    kit_start(k, 0);
    kit_leader(k);
    struct client *c = client_admin(k, 0);
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        assert_true(kit_now() < until);
        must(c, "cluster", "{}");
        const struct value *warnings = value_get(c->result, "certificateWarnings");
        if (value_count(warnings) > 0) {
            const char *text = arena_printf(&k->arena, "%.*s", STR_ARG(value_to_str(value_item(warnings, 0))));
            assert_non_null(
                strstr(text, "certificate of master 1 expire")); /* or it has, on a machine that stood still */
            assert_non_null(strstr(text, "renewing it failed: the new one is used, but could not be kept"));
            assert_non_null(strstr(text, "master.crt.next"));
            break;
        }
    }
    assert_true(presented_until(k, 0) - now_s() > DAY_S);
    must(c, "cert.status", "{}");
    assert_true(int_at(c, "own.failures") > 0);
    rmdir(inside);
    rmdir(obstacle);
    kit_stop(k, 0, SIGTERM); /* the next attempt would be in a minute; a restart repairs as well */
    kit_start(k, 0);
    kit_leader(k);
    client_close(c);
    for (int64_t until = kit_now() + KIT_WAIT_MS; until_of(k, 0) - now_s() < DAY_S; kit_turn(k, 50)) {
        assert_true(kit_now() < until);
    }
}

/* ---- Nodes and administrators ---- */

/* A certificate out of an answer of cert.renew must be for role and name, and fit the key. */
static void expect_certificate(struct client *c, const char *key, enum pki_role role, const char *name, int64_t valid_s)
{
    struct pki_identity who;
    int64_t until_s;
    const char *cert = text_at(c, "certificate");
    assert_int_equal(pki_cert_info(cert, &who, NULL, &until_s, NULL), 0);
    assert_int_equal(who.role, role);
    assert_string_equal(who.name, name);
    assert_in_range(until_s - now_s(), valid_s - 300, valid_s);
    assert_true(pki_pair_fits(cert, key));
}

static int renew(struct client *c, enum pki_role role, const char *name, char **key)
{
    struct pki_identity who = {.role = role};
    char *csr;
    snprintf(who.name, sizeof who.name, "%s", name);
    assert_int_equal(pki_make_request(&who, &csr, key, NULL), 0);
    struct value *params = value_map(&c->kit->arena);
    value_set(&c->kit->arena, params, "csr", value_cstr(&c->kit->arena, csr));
    int rc = call_value(c, "cert.renew", params);
    free(csr);
    return rc;
}

static void test_the_identity_of_the_connection_is_signed_whatever_the_request_says(void **state)
{
    struct kit *k = *state;
    static const struct {
        enum pki_role role;
        const char *name;
        int64_t valid_s;
    } rows[] = {{PKI_ROLE_NODE, "n1", 90 * DAY_S}, {PKI_ROLE_ADMIN, "kate", 365 * DAY_S}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct client *c = client_as(k, 0, rows[i].role, rows[i].name);
        char *key;
        assert_int_equal(renew(c, rows[i].role, rows[i].name, &key), 0);
        expect_certificate(c, key, rows[i].role, rows[i].name, rows[i].valid_s);
        pki_free_key(key);
        assert_int_equal(renew(c, PKI_ROLE_MASTER, "1", &key), 0);
        expect_certificate(c, key, rows[i].role, rows[i].name, rows[i].valid_s);
        pki_free_key(key);
        refused(c, ERR_INVALID, "certificate request", "cert.renew", "{csr: junk}");
        refused(c, ERR_USAGE, "csr", "cert.renew", "{}");
        client_close(c);
    }
}

/* kate's certificate with that life. */
static struct client *client_kate(struct kit *k, int64_t valid_s, bool limited)
{
    const struct pki_identity who = {PKI_ROLE_USER, "kate"};
    struct net_tls *tls;
    char *csr, *key, *cert;
    assert_int_equal(pki_make_request(&who, &csr, &key, NULL), 0);
    assert_int_equal(pki_sign_user(k->ca, k->ca_key, csr, "kate", "dev\0", valid_s, limited, 0, &cert, NULL), 0);
    assert_int_equal(net_tls_new(k->ca, cert, key, NULL, &tls, NULL), 0);
    struct client *c = client_with(k, 0, tls);
    net_tls_unref(tls);
    free(csr);
    free(cert);
    pki_free_key(key);
    return c;
}

/* As by a former CA's end, or a smaller certLifeSeconds. */
static void test_a_certificate_that_was_cut_short_is_renewed_for_the_whole_life(void **state)
{
    char *key;
    struct client *c = client_kate(*state, 2 * DAY_S, false);
    assert_int_equal(renew(c, PKI_ROLE_USER, "kate", &key), 0);
    expect_certificate(c, key, PKI_ROLE_USER, "kate", 365 * DAY_S);
    pki_free_key(key);
    client_close(c);
}

static void test_what_was_approved_for_a_time_is_not_renewed(void **state)
{
    char *key;
    struct client *c = client_kate(*state, 600, true);
    assert_int_equal(renew(c, PKI_ROLE_USER, "kate", &key), ERR_FORBIDDEN);
    assert_non_null(strstr(c->err.message, "made by a CertificateSigningRequest for 600 s"));
    pki_free_key(key);
    client_close(c);
}

static void test_masters_and_strangers_are_not_signed_for(void **state)
{
    struct kit *k = *state;
    struct client *c = client_as(k, 0, PKI_ROLE_MASTER, "9");
    char *key;
    assert_int_equal(renew(c, PKI_ROLE_MASTER, "9", &key), ERR_FORBIDDEN);
    pki_free_key(key);
    client_close(c);
    c = client_as(k, 0, PKI_ROLE_NONE, "");
    assert_int_equal(renew(c, PKI_ROLE_NODE, "n1", &key), ERR_UNAUTHORIZED);
    pki_free_key(key);
    client_close(c);
}

static struct client *client_late(struct kit *k, unsigned master, const char *name, int64_t ago_s)
{
    struct pki_identity who = {.role = PKI_ROLE_NODE};
    struct net_tls *tls;
    char *cert, *key;
    snprintf(who.name, sizeof who.name, "%s", name);
    assert_int_equal(pki_issue(k->ca, k->ca_key, &who, NULL, -ago_s, &cert, &key, NULL), 0);
    assert_int_equal(net_tls_new_lenient(k->ca, cert, key, &tls, NULL), 0);
    struct client *c = client_with(k, master, tls);
    net_tls_unref(tls);
    free(cert);
    pki_free_key(key);
    return c;
}

static void make_node(struct kit *k, const char *name)
{
    struct client *c = client_admin(k, 0);
    must(c, "create", "{object: {apiVersion: v1, kind: Node, metadata: {name: %s}}}", name);
    client_close(c);
}

static void test_a_late_node_may_renew_and_nothing_else(void **state)
{
    struct kit *k = *state;
    char *key;
    make_node(k, "late");
    struct client *c = client_late(k, 0, "late", 200 * DAY_S);
    static const char *const calls[][2] = {
        {"hello", "{version: x}"},
        {"get", "{kind: Node, name: late}"},
        {"node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: late}}}"},
        {"node.status", "{name: late}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        refused(c, ERR_UNAUTHORIZED, "cert.renew, nothing else", calls[i][0], "%s", calls[i][1]);
        assert_string_equal(c->err.field, "cert.renew");
    }
    struct stream *s = stream_open(c, "node.pods", "{name: late}");
    stream_wait_end(s);
    assert_int_equal(s->end.code, ERR_UNAUTHORIZED);
    stream_close(s);
    assert_int_equal(renew(c, PKI_ROLE_NODE, "late", &key), 0);
    expect_certificate(c, key, PKI_ROLE_NODE, "late", 90 * DAY_S);
    pki_free_key(key);
    refused(c, ERR_UNAUTHORIZED, NULL, "get", "{kind: Node, name: late}"); /* by the old one still */
    client_close(c);
}

static void test_a_late_node_that_was_deleted_joins_anew(void **state)
{
    struct kit *k = *state;
    char *key;
    struct client *c = client_late(k, 0, "forgotten", 60);
    assert_int_equal(renew(c, PKI_ROLE_NODE, "forgotten", &key), ERR_FORBIDDEN);
    assert_non_null(strstr(c->err.message, "rctl token create"));
    pki_free_key(key);
    client_close(c);
}

static void test_after_the_grace_nobody_is_let_in(void **state)
{
    struct kit *k = *state;
    char *key;
    make_node(k, "ages");
    struct client *c = client_late(k, 0, "ages", PKI_EXPIRED_GRACE_S + 60);
    assert_int_not_equal(renew(c, PKI_ROLE_NODE, "ages", &key), 0);
    for (int64_t until = kit_now() + KIT_WAIT_MS; c->rpc != NULL; kit_turn(k, 20)) {
        assert_true(kit_now() < until);
    }
    assert_int_equal(c->why.code, ERR_UNAUTHORIZED);
    assert_non_null(strstr(c->why.message, "join the node anew with a token"));
    pki_free_key(key);
    client_close(c);
}

static void test_the_leader_tells_the_certificates_of_nodes_it_sees(void **state)
{
    struct kit *k = *state;
    struct client *n = client_as(k, 0, PKI_ROLE_NODE, "seen"), *c = client_admin(k, 0);
    must(n, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: seen}}}");
    make_node(k, "unseen");
    must(c, "cert.status", "{}");
    const struct value *nodes = value_get(c->result, "nodes");
    unsigned found = 0;
    VALUE_FOR(i, nodes)
    {
        const struct value *node = value_item(nodes, i);
        struct str name = value_path_str(node, "name");
        found += str_is(name, "seen") || str_is(name, "unseen");
        if (str_is(name, "seen")) {
            assert_string_equal(value_text(k, node, "subject"), "O=reeve:nodes CN=seen");
            assert_string_equal(value_text(k, node, "state"), "ok");
            assert_true(strlen(value_text(k, node, "notAfter")) > 0);
        } else if (str_is(name, "unseen")) {
            assert_null(value_get(node, "notAfter"));
        }
    }
    assert_int_equal(found, 2);
    client_close(n);
    client_close(c);
}

/* ---- A whole cluster, certificates that live for seconds ---- */

static pid_t spawn_beside(struct kit *k, const char *program, const char *log, const char *const *args)
{
    const char *argv[16] = {
        arena_printf(&k->arena, "%.*s/%s", (int)(strrchr(kit_program(), '/') - kit_program()), kit_program(), program)};
    for (unsigned n = 0; args[n] != NULL; n++) {
        assert_true(n + 2 < ARRAY_SIZE(argv));
        argv[n + 1] = args[n];
    }
    pid_t parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (getppid() != parent || fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
            _exit(126);
        }
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    return pid;
}

/* Runs rctl with the first master's admin.config (words: NULL-terminated); its exit code, what it said in *said
 * (valid as long as the kit). */
static int rctl(struct kit *k, const char **said, const char *const *words)
{
    const char *args[12] = {"--config", path_of(k, 0, "admin.config")};
    char *log = arena_printf(&k->arena, "%s/rctl.out", k->dir), *text;
    unsigned n = 2;
    int status;
    for (; words[n - 2] != NULL; n++) {
        args[n] = words[n - 2];
    }
    unlink(log);
    pid_t pid = spawn_beside(k, "rctl", log, args);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(pki_read_file(log, 1 << 20, &text, NULL, NULL), 0);
    *said = arena_strdup(&k->arena, text);
    free(text);
    return WEXITSTATUS(status);
}
#define RCTL(k, said, ...) rctl(k, said, (const char *const[]){__VA_ARGS__, NULL})

static void expect_said(const char *said, const char *text)
{
    if (strstr(said, text) == NULL) {
        fail_msg("expected \"%s\" in: %s", text, said);
    }
}

static void test_rctl_shows_and_renews(void **state)
{
    struct kit *k = *state;
    const char *said;
    assert_int_equal(RCTL(k, &said, "cert", "status"), 0);
    expect_said(said, "WHO");
    expect_said(said, "O=reeve:ca CN=reeve");
    expect_said(said, "O=reeve:masters CN=1");
    expect_said(said, "admin (this client)");
    expect_said(said, "in 59d");
    expect_said(said, "in 243d");
    assert_int_equal(RCTL(k, &said, "cert", "status", "-o", "json"), 0);
    expect_said(said, "\"who\": \"master 1\"");
    char *before = file_of(k, 0, "admin.config");
    assert_int_equal(RCTL(k, &said, "cert", "renew"), 0);
    expect_said(said, "is valid until 20");
    char *after = file_of(k, 0, "admin.config");
    assert_string_not_equal(before, after);
    assert_null(strstr(said, "PRIVATE KEY"));
    assert_int_equal(RCTL(k, &said, "get", "namespaces"), 0); /* with the new one */
    pki_free_key(before);
    pki_free_key(after);
    assert_int_equal(RCTL(k, &said, "cluster", "status"), 0);
    assert_null(strstr(said, "Warning"));
}

/* Two CAs in ca.crt, the one that signs first: whoever renews hears of both. */
static void test_clients_are_told_whom_the_masters_trust(void **state)
{
    struct kit *k = *state;
    const char *said;
    char *next, *next_key, *key;
    struct error err = {0};
    assert_int_equal(pki_make_ca("reeve", &next, &next_key, NULL), 0);
    CLEANUP_FREE char *both = xasprintf("%s%s", k->ca, next);
    kit_stop(k, 0, SIGTERM);
    assert_int_equal(pki_write_file(path_of(k, 0, "ca.crt"), both, strlen(both), 0644, &err), 0);
    kit_start(k, 0);
    kit_leader(k);
    struct client *n = client_as(k, 0, PKI_ROLE_NODE, "told");
    assert_int_equal(renew(n, PKI_ROLE_NODE, "told", &key), 0);
    assert_string_equal(text_at(n, "ca"), both);
    pki_free_key(key);
    client_close(n);
    struct client *c = client_as(k, 0, PKI_ROLE_NONE, ""); /* it still knows the first one alone */
    must(c, "hello", "{}");
    client_close(c);
    CLEANUP_BUF struct buf wanted = BUF_INIT;
    base64_write(&wanted, both, strlen(both));
    assert_int_equal(RCTL(k, &said, "cert", "renew"), 0);
    char *config = file_of(k, 0, "admin.config");
    assert_non_null(strstr(config, buf_cstr(&wanted)));
    pki_free_key(config);
    assert_int_equal(RCTL(k, &said, "get", "namespaces"), 0); /* with both */
    free(next);
    pki_free_key(next_key);
}

static void test_rctl_renews_by_the_way_and_a_master_helps_who_comes_too_late(void **state)
{
    static const char *const args[] = {"--admin-cert-life", "12", NULL};
    struct kit *k = kit_one(args);
    const char *said;
    (void)state;
    unsigned renewed = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; renewed < 1; kit_turn(k, 300)) {
        assert_true(kit_now() < until);
        assert_int_equal(RCTL(k, &said, "get", "namespaces"), 0);
        renewed += strstr(said, "note: renewed the client certificate in") != NULL;
    }
    assert_int_equal(RCTL(k, &said, "get", "namespaces"), 0);
    assert_null(strstr(said, "note: renewed"));
    for (int64_t expired = kit_now() + 13000; kit_now() < expired;) {
        kit_turn(k, 300); /* a certificate's life passes by the wall clock alone */
    }
    assert_int_equal(RCTL(k, &said, "cert", "status"), 1);
    expect_said(said, "s ago");
    expect_said(said, "expired");
    expect_said(said, "reeve-master admin --dir DIR");
    const char *admin[] = {"admin", "--dir", k->masters[0].dir, NULL};
    assert_int_equal(kit_run(k, NULL, admin), 0);
    assert_int_equal(RCTL(k, &said, "get", "namespaces"), 0);
    kit_free(k);
}

struct agent_process {
    pid_t pid;
    char *dir, *log;
};

static struct agent_process start_agent(struct kit *k)
{
    struct agent_process a = {.dir = arena_printf(&k->arena, "%s/n1", k->dir),
                              .log = arena_printf(&k->arena, "%s/n1.log", k->dir)};
    struct client *c = client_admin(k, 0);
    must(c, "token", "{role: node}");
    const char *join[] = {"join", "--dir", a.dir, "--name", "n1", "--token", text_at(c, "token"), k->masters[0].addr,
                          NULL};
    const char *run[] = {"run", "--dir", a.dir, "--runtime", "hollow", NULL};
    int status;
    pid_t joining = spawn_beside(k, "reeve-agent", a.log, join);
    assert_int_equal(waitpid(joining, &status, 0), joining);
    assert_int_equal(status, 0);
    a.pid = spawn_beside(k, "reeve-agent", a.log, run);
    client_close(c);
    return a;
}

static unsigned count_in(const char *path, const char *text)
{
    char *all;
    unsigned n = 0;
    if (pki_read_file(path, 1 << 20, &all, NULL, NULL) != 0) {
        return 0;
    }
    for (const char *p = all; (p = strstr(p, text)) != NULL; p++) {
        n++;
    }
    free(all);
    return n;
}

/* A write whose outcome an election made unknown is made again: it is there already, or it is not. */
static void write_one(struct kit *k, struct client *c, unsigned number)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        int rv = call(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: w%u}}}", number);
        if (rv == 0 || rv == ERR_EXISTS) {
            return;
        }
        if (kit_now() > until || err_class(rv) == ERR_CLASS_CALLER) {
            fail_msg("write %u: %s: %s", number, err_reason(rv), c->err.message);
        }
    }
}

/* Writes through each master in turn, over connections that were there before the first renewal and over new ones. */
static void write_everywhere(struct kit *k, struct client *const *old, unsigned *written)
{
    for (unsigned i = 0; i < k->masters_count; i++) {
        write_one(k, old[i], (*written)++);
    }
    struct client *c = client_admin(k, *written % k->masters_count);
    write_one(k, c, (*written)++);
    client_close(c);
}

static void until_registered(struct kit *k, struct agent_process *a, unsigned times)
{
    for (int64_t until = kit_now() + 2 * KIT_WAIT_MS; count_in(a->log, "registered with the ") < times;) {
        assert_true(kit_now() < until);
        kit_turn(k, 50);
    }
}

#define RENEWALS 2u
static void test_a_cluster_lives_on_over_renewals_while_it_is_written_to(void **state)
{
    static const char *const args[] = {"--cert-life", "15", "--heartbeat", "1", "--node-grace", "10", NULL};
    struct kit *k = kit_three(args);
    struct agent_process a = start_agent(k);
    struct client *old[3];
    unsigned written = 0;
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        old[i] = client_admin(k, i);
    }
    until_registered(k, &a, 1);
    for (int64_t until = kit_now() + 120000;;) {
        unsigned least = count_in(a.log, "renew: certificate renewed");
        for (unsigned i = 0; i < 3; i++) {
            least = MIN(least, count_in(k->masters[i].log, "identity: certificate renewed"));
        }
        if (least >= RENEWALS) {
            break;
        }
        assert_true(kit_now() < until);
        write_everywhere(k, old, &written);
        kit_turn(k, 100);
    }
    /* Nobody was restarted, no session was dropped: the agent's are the first ones, the clients' are theirs. */
    assert_int_equal(count_in(a.log, "connection lost"), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_non_null(old[i]->rpc);
        assert_int_equal(count_in(k->masters[i].log, "reeve-master 0"), 1);
    }
    must(old[0], "list", "{kind: ConfigMap, namespace: default, limit: 100000}");
    assert_int_equal(value_count(value_get(old[0]->result, "items")), written);
    must(old[0], "cluster", "{}");
    assert_int_equal(value_count(value_get(old[0]->result, "certificateWarnings")), 0);
    print_message("%u writes over %u renewals of each\n", written, RENEWALS);
    /* The first certificates have expired: whoever connects now shows, and is shown, a later one. */
    unsigned leader = kit_leader(k);
    kit_stop(k, leader, SIGTERM);
    kit_leader(k);
    until_registered(k, &a, 2);
    int64_t expired = until_of(k, leader) * 1000 + 1000;
    while (env_wall_ms(env_real()) < expired) {
        kit_turn(k, 100); /* it comes back with an expired one */
    }
    kit_start(k, leader);
    struct client *c = client_admin(k, leader);
    for (int64_t until = kit_now() + KIT_WAIT_MS; c->rpc == NULL || call(c, "get", "{kind: Node, name: n1}") != 0;) {
        assert_true(kit_now() < until);
        if (c->rpc == NULL) { /* it does not listen yet */
            client_close(c);
            c = client_admin(k, leader);
        }
        kit_turn(k, 50);
    }
    expect_log(k, leader, "the certificate of this master expired on");
    client_close(c);
    kill(a.pid, SIGTERM);
    assert_int_equal(waitpid(a.pid, NULL, 0), a.pid);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates_of_init_live_ninety_days_and_that_of_the_administrator_a_year),
        cmocka_unit_test(test_a_master_with_an_expired_certificate_renews_it_and_starts),
        cmocka_unit_test(test_a_certificate_from_the_future_is_replaced),
        cmocka_unit_test(test_a_certificate_with_another_id_is_replaced),
        cmocka_unit_test(test_a_crash_between_key_and_certificate_is_mended_at_the_start),
        cmocka_unit_test(test_a_due_certificate_is_renewed_without_a_restart_and_sessions_stay),
        cmocka_unit_test(test_a_disk_that_refuses_does_not_stop_renewal),
        cmocka_unit_test(test_the_identity_of_the_connection_is_signed_whatever_the_request_says),
        cmocka_unit_test(test_a_certificate_that_was_cut_short_is_renewed_for_the_whole_life),
        cmocka_unit_test(test_what_was_approved_for_a_time_is_not_renewed),
        cmocka_unit_test(test_masters_and_strangers_are_not_signed_for),
        cmocka_unit_test(test_a_late_node_may_renew_and_nothing_else),
        cmocka_unit_test(test_a_late_node_that_was_deleted_joins_anew),
        cmocka_unit_test(test_after_the_grace_nobody_is_let_in),
        cmocka_unit_test(test_the_leader_tells_the_certificates_of_nodes_it_sees),
        cmocka_unit_test(test_rctl_shows_and_renews),
        cmocka_unit_test(test_clients_are_told_whom_the_masters_trust),
        cmocka_unit_test(test_rctl_renews_by_the_way_and_a_master_helps_who_comes_too_late),
        cmocka_unit_test(test_a_cluster_lives_on_over_renewals_while_it_is_written_to),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
