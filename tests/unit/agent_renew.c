/* The node's certificate: renewed over the session, before the session when it has expired, and what happens when a
 * master refuses. */
#include <unistd.h>

#include "agent/config.h"
#include "agent/link/session.h"
#include "tests/unit/agent_master.h"

struct fixture {
    uv_loop_t loop;
    char *ca, *ca_key, dir[64];
    struct fake_master master;
    struct renew *renew;
    struct session *session;
    struct env env;
    int64_t ahead_ms; /* of our clock */
    char log[8192];
    struct log logger;
    unsigned ready, lost;
    bool stopped;
};

static int64_t now_ms(void *data)
{
    (void)data;
    return env_now_ms(env_real());
}
static int64_t wall_ms(void *data)
{
    return env_wall_ms(env_real()) + ((struct fixture *)data)->ahead_ms;
}
static void random_bytes(void *data, void *bytes, size_t n)
{
    (void)data;
    env_random(env_real(), bytes, n);
}
static void log_sink(void *data, enum log_level level, const char *line, unsigned size)
{
    struct fixture *f = data;
    size_t used = strlen(f->log);
    (void)level;
    snprintf(f->log + used, sizeof f->log - used, "%.*s", (int)size, line);
}

static void put(struct fixture *f, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    assert_int_equal(pki_write_file(path, text, strlen(text), 0600, NULL), 0);
}

static char *get(struct fixture *f, const char *name)
{
    char path[128], *text;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    if (pki_read_file(path, 1 << 16, &text, NULL, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return text;
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct error err = {0};
    uv_loop_init(&f->loop);
    snprintf(f->dir, sizeof f->dir, "/tmp/agent-renew-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(pki_make_ca("test", &f->ca, &f->ca_key, &err), 0);
    master_open(&f->master, &f->loop, f->ca, f->ca_key);
    f->master.heartbeat_ms = 100;
    f->env = (struct env){f, now_ms, wall_ms, random_bytes, NULL};
    f->logger = (struct log){.name = "test", .level = LOG_LEVEL_INFO, .sink = log_sink, .sink_data = f};
    *state = f;
    return 0;
}

static void write_node(struct buf *out, void *data)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc;
    (void)data;
    arena_init(&a);
    assert_int_equal(
        json_read(&a, STR("{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n1\"}}"), &doc, NULL), 0);
    msgpack_write_value(out, doc);
}
static void on_ready(struct mp result, void *data)
{
    (void)result;
    ((struct fixture *)data)->ready++;
}
static void on_lost(void *data)
{
    ((struct fixture *)data)->lost++;
}
static void on_list(enum session_stream which, void *data)
{
    (void)which, (void)data;
}
static void on_object(enum session_stream which, enum session_change change, struct object *o, void *data)
{
    (void)which, (void)change, (void)o, (void)data;
}
static void on_routes(struct mp routes, void *data)
{
    (void)routes, (void)data;
}
static void on_request(struct rpc_request *r, struct str method, struct mp params, void *data)
{
    (void)method, (void)params, (void)data;
    rpc_reply(r, STR("\x80"));
}

/* The directory of a node with a certificate that lives for valid_s, and its session. */
static void start(struct fixture *f, int64_t valid_s)
{
    struct pki_identity who = {.role = PKI_ROLE_NODE, .name = "n1"};
    const char *masters[] = {f->master.address, NULL};
    struct config config = {.dir = f->dir, .name = "n1"};
    struct net_tls *tls;
    struct error err = {0};
    char *cert, *key;
    assert_int_equal(pki_issue(f->ca, f->ca_key, &who, NULL, valid_s, &cert, &key, &err), 0);
    put(f, "ca.pem", f->ca);
    put(f, "agent.pem", cert);
    put(f, "agent.key", key);
    if (config_tls(&config, &tls, &err) != 0 ||
        renew_new(&(struct renew_config){&f->env, &f->logger, f->dir, "n1"}, &f->renew, &err) != 0) {
        fail_msg("%s", err.message);
    }
    struct session_config c = {
        .loop = &f->loop,
        .tls = tls,
        .renew = f->renew,
        .env = &f->env,
        .log = &f->logger,
        .name = "n1",
        .masters = masters,
        .events = {.write_node = write_node,
                   .on_ready = on_ready,
                   .on_lost = on_lost,
                   .on_list_begin = on_list,
                   .on_object = on_object,
                   .on_list_end = on_list,
                   .on_routes = on_routes,
                   .on_request = on_request},
        .data = f,
    };
    f->session = session_new(&c);
    session_start(f->session);
    net_tls_unref(tls);
    free(cert);
    pki_free_key(key);
}

static void on_stopped(void *data)
{
    ((struct fixture *)data)->stopped = true;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = {"ca.pem", "agent.pem", "agent.key"};
    session_stop(f->session, on_stopped, f);
    run_until(&f->loop, f->stopped);
    renew_free(f->renew);
    master_close(&f->master);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", f->dir, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    free(f->ca);
    pki_free_key(f->ca_key);
    free(f);
    return 0;
}

/* The files hold a pair for n1 that lives for about two hours from now: what the master of paper signs. */
static void expect_new_files(struct fixture *f)
{
    char *cert = get(f, "agent.pem"), *key = get(f, "agent.key");
    struct pki_identity who;
    int64_t until_s;
    assert_true(pki_pair_fits(cert, key));
    assert_int_equal(pki_cert_info(cert, &who, NULL, &until_s, NULL), 0);
    assert_int_equal(who.role, PKI_ROLE_NODE);
    assert_string_equal(who.name, "n1");
    assert_in_range(until_s - env_wall_ms(env_real()) / 1000, 7000, 7200);
    free(cert);
    pki_free_key(key);
}

static void a_due_certificate_is_renewed_over_the_session_which_stays(void **state)
{
    struct fixture *f = *state;
    start(f, 3600);
    run_until(&f->loop, f->ready == 1);
    unsigned heartbeats = f->master.heartbeats;
    run_until(&f->loop, f->master.heartbeats > heartbeats + 1);
    assert_int_equal(f->master.renewals, 0);
    f->ahead_ms = 2500 * 1000;
    run_until(&f->loop, strstr(f->log, "certificate renewed, valid until 20") != NULL);
    f->ahead_ms = 0;
    assert_int_equal(f->master.renewals, 1);
    expect_new_files(f);
    heartbeats = f->master.heartbeats;
    run_until(&f->loop, f->master.heartbeats > heartbeats + 1);
    assert_int_equal(f->lost, 0);
    assert_int_equal(f->master.renewals, 1);
    master_hang_up(&f->master);
    run_until(&f->loop, f->ready == 2);
    assert_in_range(f->master.peer_until_s - env_wall_ms(env_real()) / 1000, 7000, 7200); /* the new one is presented */
}

/* The cluster's CA is being replaced: masters say with the renewal whom to trust from now on. */
static void the_cas_that_a_master_tells_are_trusted_from_then_on(void **state)
{
    struct fixture *f = *state;
    char *next, *next_key;
    assert_int_equal(pki_make_ca("test", &next, &next_key, NULL), 0);
    CLEANUP_FREE char *both = xasprintf("%s%s", next, f->ca);
    start(f, 3600);
    run_until(&f->loop, f->ready == 1);
    f->master.renewal_ca = both;
    f->ahead_ms = 2500 * 1000;
    run_until(&f->loop, strstr(f->log, "certificate renewed, valid until 20") != NULL);
    f->ahead_ms = 0;
    expect_new_files(f);
    char *stored = get(f, "ca.pem");
    assert_string_equal(stored, both);
    free(stored);
    master_hang_up(&f->master);
    run_until(&f->loop, f->ready == 2); /* with the new list */
    f->master.renewal_ca = next;        /* does not fit the certificate that comes with it: neither is taken */
    f->ahead_ms = 5500 * 1000;
    run_until(&f->loop, strstr(f->log, "is not signed by the CA given with it") != NULL);
    f->ahead_ms = 0;
    stored = get(f, "ca.pem");
    assert_string_equal(stored, both);
    free(stored);
    expect_new_files(f);
    free(next);
    pki_free_key(next_key);
}

static void an_expired_certificate_is_renewed_before_anything_else(void **state)
{
    struct fixture *f = *state;
    start(f, -600);
    run_until(&f->loop, f->master.renewals == 1);
    assert_true(f->master.peer_expired);
    assert_int_equal(f->master.hellos, 0);
    run_until(&f->loop, f->ready == 1);
    assert_false(f->master.peer_expired);
    assert_non_null(strstr(f->log, "the certificate of this node expired on 20"));
    expect_new_files(f);
}

/* Signed while a clock ran ahead, which was put right since: by our clock it has not begun. */
static void a_certificate_from_the_future_is_renewed_before_anything_else(void **state)
{
    struct fixture *f = *state;
    f->ahead_ms = -86400 * 1000;
    start(f, 3600);
    run_until(&f->loop, f->master.renewals == 1);
    f->ahead_ms = 0;
    assert_int_equal(f->master.hellos, 0);
    run_until(&f->loop, f->ready == 1);
    assert_non_null(strstr(f->log, "the certificate of this node is valid only from 20"));
    expect_new_files(f);
}

static void a_master_whose_clock_is_ahead_may_ask_for_it(void **state)
{
    struct fixture *f = *state;
    f->master.calls_expired = true;
    start(f, 3600);
    run_until(&f->loop, f->ready == 1);
    assert_int_equal(f->master.renewals, 1);
    expect_new_files(f);
}

static void a_refusal_is_told_and_asked_again_later(void **state)
{
    struct fixture *f = *state;
    f->master.refuse_renewal = ERR_FORBIDDEN;
    start(f, 3600);
    run_until(&f->loop, f->ready == 1);
    char *before = get(f, "agent.pem");
    f->ahead_ms = 2500 * 1000;
    run_until(&f->loop, strstr(f->log, "failed, next attempt in 3s: not for you") != NULL);
    unsigned heartbeats = f->master.heartbeats;
    run_until(&f->loop, f->master.heartbeats > heartbeats + 2);
    assert_int_equal(f->master.renewals, 1); /* not with each heartbeat */
    assert_int_equal(f->lost, 0);
    char *after = get(f, "agent.pem");
    assert_string_equal(before, after);
    f->master.refuse_renewal = 0;
    f->ahead_ms += 61 * 1000;
    run_until(&f->loop, strstr(f->log, "certificate renewed") != NULL);
    expect_new_files(f);
    free(before);
    free(after);
}

static void a_certificate_for_somebody_else_is_not_taken(void **state)
{
    struct fixture *f = *state;
    f->master.renewal_name = "n2";
    start(f, 3600);
    run_until(&f->loop, f->ready == 1);
    char *before = get(f, "agent.pem");
    f->ahead_ms = 2500 * 1000;
    run_until(&f->loop, strstr(f->log, "certified \"n2\"") != NULL);
    char *after = get(f, "agent.pem");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* A node that nobody wants back keeps asking, but says so once, not every few seconds. */
static void an_expired_node_that_is_refused_does_not_fill_the_log(void **state)
{
    struct fixture *f = *state;
    f->master.refuse_renewal = ERR_FORBIDDEN;
    start(f, -600);
    run_until(&f->loop, f->master.renewals == 4);
    unsigned lines = 0;
    for (const char *p = f->log; (p = strstr(p, "failed, next attempt")) != NULL; p++) {
        lines++;
    }
    assert_in_range(lines, 1, 3);
    assert_int_equal(f->ready, 0);
    f->master.refuse_renewal = 0;
    run_until(&f->loop, f->ready == 1);
}

int main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(a_due_certificate_is_renewed_over_the_session_which_stays),
        WITH(the_cas_that_a_master_tells_are_trusted_from_then_on),
        WITH(an_expired_certificate_is_renewed_before_anything_else),
        WITH(a_certificate_from_the_future_is_renewed_before_anything_else),
        WITH(a_master_whose_clock_is_ahead_may_ask_for_it),
        WITH(a_refusal_is_told_and_asked_again_later),
        WITH(a_certificate_for_somebody_else_is_not_taken),
        WITH(an_expired_node_that_is_refused_does_not_fill_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
