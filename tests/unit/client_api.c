/* The api against masters that misbehave: calls go on with the next one under the same id, watches are resumed without
 * gap or duplicate. The masters are a script on a thread of its own, behind real TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"
#include "client/api/api.h"
#include "client/api/api_internal.h"
#include "proto/pki/pki.h"
#include "proto/text/text.h"

#define SERVERS 2

#define KEPT    1

/* What the masters do with the n-th request they see, together. */
struct step {
    enum { REPLY, FAIL, HANG_UP, SILENT, STREAM } what;
    int code;             /* FAIL, and how a STREAM ends (0 = regular; KEPT: not at all) */
    const char *payloads; /* STREAM: YAML documents; then it ends */
};
struct seen {
    char method[32];
    uint8_t id[16];
    bool has_id;
    int64_t revision; /* of the params; -1 = none */
    char after[32];
    int64_t limit, tail;
};
struct fake {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t stop;
    struct net_listener *listeners[SERVERS];
    struct rpc_session *sessions[64];
    unsigned sessions_count;
    char addresses[SERVERS][32];
    char *ca, *ca_key, *cert, *key, *admin_cert, *admin_key;
    struct net_tls *tls;
    const struct step *steps;
    unsigned steps_count, at;
    struct seen seen[32];
    struct rpc_request *silent[32]; /* answered at the end, into the void */
    unsigned silent_count;
    const char *hello; /* the answer to hello, which is no step of the script; NULL: silence, once it was asked for */
    unsigned hellos;
    bool mute;
    int64_t timeout_ms;    /* of the last request */
    int64_t ping_ms;       /* 0 = as usual */
    int64_t standstill_ms; /* of all masters, before they do anything */
};

static void stream_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    (void)payload;
    (void)data;
    rpc_stream_consumed(st, n);
}

static void stream_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)err;
    if (((const struct step *)data)->code == KEPT) {
        rpc_stream_end(st, NULL);
    }
}

static void play_stream(struct rpc_request *r, const struct step *step)
{
    static const struct rpc_stream_events events = {.on_data = stream_data, .on_end = stream_end};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value **docs;
    unsigned count;
    struct error err = {0};
    if (yaml_read(&a, str_of(step->payloads), "step", &docs, &count, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    struct rpc_stream *st = rpc_stream_accept(r, &events, (void *)step);
    for (unsigned i = 0; i < count && st != NULL; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct str text = value_path_str(docs[i], "text"); /* of logs: bytes */
        if (value_path(docs[i], "text") != NULL) {
            value_set(&a, docs[i], "text", value_bin(&a, text.p, text.n));
        }
        msgpack_write_value(&b, docs[i]);
        rpc_stream_write(st, buf_str(&b));
    }
    error_set(&err, step->code == 0 ? ERR_INTERNAL : step->code, "the script says so");
    if (st != NULL && step->code != KEPT) {
        rpc_stream_end(st, step->code == 0 ? NULL : &err);
    }
}

static void answer_hello(struct fake *f, struct rpc_request *r)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value **docs;
    unsigned count;
    struct error err = {0};
    f->hellos++;
    if (f->mute) {
        f->silent[f->silent_count++] = r;
        return;
    }
    const char *text = f->hello == NULL ? "{leader: 1, voters: 2, votersUp: 2}" : f->hello;
    if (yaml_read(&a, str_of(text), "hello", &docs, &count, &err) != 0) {
        abort();
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    msgpack_write_value(&b, docs[0]);
    rpc_reply(r, buf_str(&b));
}

static void on_request(struct rpc_session *s, struct rpc_request *r, struct str method, struct mp params, void *data)
{
    struct fake *f = data;
    struct str id;
    struct mp m = mp_get(params, "id");
    if (str_is(method, "hello")) {
        answer_hello(f, r);
        return;
    }
    if (f->at >= f->steps_count) {
        abort(); /* more requests than the script has */
    }
    f->timeout_ms = mp_int(mp_get(params, "timeoutMs"), -1);
    struct seen *seen = &f->seen[f->at];
    const struct step *step = &f->steps[f->at++];
    snprintf(seen->method, sizeof(seen->method), "%.*s", STR_ARG(method));
    seen->revision = mp_int(mp_get(params, "revision"), -1);
    snprintf(seen->after, sizeof(seen->after), "%.*s", STR_ARG(mp_str(mp_get(params, "after"))));
    seen->limit = mp_int(mp_get(params, "limitBytes"), -1);
    seen->tail = mp_int(mp_get(params, "tailLines"), -1);
    seen->has_id = mp_read_bin(&m, &id) && id.n == sizeof(seen->id);
    if (seen->has_id) {
        memcpy(seen->id, id.p, id.n);
    }
    struct error err = {0};
    switch (step->what) {
    case REPLY:
        rpc_reply(r, STR("\x81\xa2ok\xc3")); /* {ok: true} */
        break;
    case FAIL:
        error_set(&err, step->code, "%s", step->payloads == NULL ? "the script says so" : step->payloads);
        rpc_reply_error(r, &err);
        break;
    case HANG_UP:
        rpc_session_close(s);
        error_set(&err, ERR_INTERNAL, "nobody hears it");
        rpc_reply_error(r, &err);
        break;
    case SILENT:
        f->silent[f->silent_count++] = r;
        break;
    case STREAM:
        play_stream(r, step);
        break;
    }
}

static void on_close(struct rpc_session *s, const struct error *why, void *data)
{
    (void)why;
    struct fake *f = data;
    for (unsigned i = 0; i < f->sessions_count; i++) {
        if (f->sessions[i] == s) {
            f->sessions[i] = f->sessions[--f->sessions_count];
        }
    }
}

static void on_conn(struct net_conn *c, void *data)
{
    struct fake *f = data;
    struct rpc_config config = {.handler = {.on_request = on_request, .on_close = on_close}, .data = f};
    f->sessions[f->sessions_count++] = rpc_session_new(c, &f->loop, &config);
}

static void on_stop(uv_async_t *h)
{
    struct fake *f = h->data;
    for (unsigned i = 0; i < SERVERS; i++) {
        net_listener_close(f->listeners[i], NULL, NULL);
    }
    for (unsigned i = 0; i < f->sessions_count; i++) {
        rpc_session_close(f->sessions[i]);
    }
    for (unsigned i = 0; i < f->silent_count; i++) {
        struct error err = {0};
        error_set(&err, ERR_INTERNAL, "too late");
        rpc_reply_error(f->silent[i], &err);
    }
    uv_close((uv_handle_t *)h, NULL);
}

static void serve(void *data)
{
    struct fake *f = data;
    uv_sleep((unsigned)f->standstill_ms); /* the kernel takes connections meanwhile */
    uv_update_time(&f->loop);
    uv_run(&f->loop, UV_RUN_DEFAULT);
}

static int setup(void **state)
{
    struct fake *f = xcalloc(1, sizeof(*f));
    struct error err = {0};
    struct pki_identity master = {PKI_ROLE_MASTER, "1"}, admin = {PKI_ROLE_ADMIN, "admin"};
    static const char *const alpns[] = {ALPN_RPC, NULL};
    uv_loop_init(&f->loop);
    uv_async_init(&f->loop, &f->stop, on_stop);
    f->stop.data = f;
    assert_int_equal(pki_make_ca("test", &f->ca, &f->ca_key, &err), 0);
    assert_int_equal(pki_issue(f->ca, f->ca_key, &master, "127.0.0.1", 3600, &f->cert, &f->key, &err), 0);
    assert_int_equal(pki_issue(f->ca, f->ca_key, &admin, NULL, 3600, &f->admin_cert, &f->admin_key, &err), 0);
    assert_int_equal(net_tls_new(f->ca, f->cert, f->key, NULL, &f->tls, &err), 0);
    for (unsigned i = 0; i < SERVERS; i++) {
        struct net_listener_config config = {.loop = &f->loop,
                                             .tls = f->tls,
                                             .addr = "127.0.0.1:0",
                                             .fd = -1,
                                             .alpns = alpns,
                                             .conns_max = 32,
                                             .on_conn = on_conn,
                                             .data = f};
        assert_int_equal(net_listen(&config, &f->listeners[i], &err), 0);
        snprintf(f->addresses[i], sizeof(f->addresses[i]), "127.0.0.1:%d", net_listener_port(f->listeners[i]));
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fake *f = *state;
    net_tls_unref(f->tls);
    free(f->ca);
    free(f->cert);
    free(f->admin_cert);
    pki_free_key(f->ca_key);
    pki_free_key(f->key);
    pki_free_key(f->admin_key);
    free(f);
    return 0;
}

/* Starts the masters with their script and makes an api that knows them all. */
static struct api *start(struct fake *f, const struct step *steps, unsigned count, int64_t deadline_ms)
{
    struct config_target t = {
        .context = "t", .cluster = "test", .ca_pem = f->ca, .cert_pem = f->admin_cert, .key_pem = f->admin_key};
    struct error err = {0};
    struct api *api;
    f->steps = steps;
    f->steps_count = count;
    for (unsigned i = 0; i < SERVERS; i++) {
        t.servers[t.servers_count++] = f->addresses[i];
    }
    assert_int_equal(uv_thread_create(&f->thread, serve, f), 0);
    assert_int_equal(api_new(&t, deadline_ms, false, &api, &err), 0);
    return api;
}

/* From here on the script's record may be read. */
static void finish(struct fake *f, struct api *api)
{
    api_free(api);
    uv_async_send(&f->stop);
    uv_thread_join(&f->thread);
    assert_int_equal(uv_loop_close(&f->loop), 0);
}

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

static void a_write_goes_to_the_next_master_under_the_same_id(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    static const struct step steps[] = {{FAIL, ERR_NOT_LEADER, NULL},
                                        {HANG_UP, 0, NULL},
                                        {FAIL, ERR_NO_QUORUM, NULL},
                                        {FAIL, ERR_UNKNOWN_OUTCOME, NULL},
                                        {REPLY, 0, NULL}};
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 10000);
    assert_int_equal(write_once(api, &err), 0);
    finish(f, api);
    assert_int_equal(f->at, ARRAY_SIZE(steps));
    for (unsigned i = 0; i < f->at; i++) {
        assert_true(f->seen[i].has_id);
        assert_memory_equal(f->seen[i].id, f->seen[0].id, sizeof(f->seen[0].id));
    }
}

static void two_writes_have_two_ids(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    static const struct step steps[] = {{REPLY, 0, NULL}, {REPLY, 0, NULL}};
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 10000);
    assert_int_equal(write_once(api, &err), 0);
    assert_int_equal(write_once(api, &err), 0);
    finish(f, api);
    assert_memory_not_equal(f->seen[0].id, f->seen[1].id, sizeof(f->seen[0].id));
}

static void a_refusal_is_not_repeated(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    static const struct step steps[] = {{FAIL, ERR_CONFLICT, NULL}};
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 10000);
    assert_int_equal(write_once(api, &err), ERR_CONFLICT);
    assert_true(api_refused(api));
    finish(f, api);
    assert_int_equal(f->at, 1);
}

/* The request reached a master, and no answer ever came: that is "unknown", never "failed". */
static void a_write_without_an_answer_is_of_unknown_outcome(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    static const struct step steps[] = {{SILENT, 0, NULL}, {SILENT, 0, NULL}, {SILENT, 0, NULL}};
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 300);
    assert_int_equal(write_once(api, &err), ERR_UNKNOWN_OUTCOME);
    finish(f, api);
}

static void no_quorum_till_the_deadline_is_no_quorum(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    struct step steps[32];
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        steps[i] = (struct step){FAIL, ERR_NO_QUORUM, NULL};
    }
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 400);
    assert_int_equal(write_once(api, &err), ERR_NO_QUORUM);
    assert_int_equal(exit_code_of(err.code), EXIT_NO_QUORUM);
    finish(f, api);
    assert_true(f->at >= 2);
}

/* What went to a person, as one text. */
struct told_lines {
    FILE *file;
    char *text;
    size_t size;
};

static void listen_to(struct api *api, struct told_lines *t)
{
    t->file = open_memstream(&t->text, &t->size);
    api_tell(api, t->file);
}

static void a_request_tells_the_master_how_long_it_may_wait(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    static const struct step steps[] = {{REPLY, 0, NULL}};
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 10000);
    assert_int_equal(write_once(api, &err), 0);
    finish(f, api);
    assert_true(f->timeout_ms > 5000 && f->timeout_ms < 10000);
}

static void a_master_that_knows_no_timeout_is_asked_without(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    static const struct step steps[] = {{FAIL, ERR_USAGE, "create: unknown parameter \"timeoutMs\"; known are: object"},
                                        {REPLY, 0, NULL}};
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 10000);
    assert_int_equal(write_once(api, &err), 0);
    finish(f, api);
    assert_int_equal(f->timeout_ms, -1);
}

/* It may be slow, but it is there: nobody else is asked, and a person is told why there is no answer. */
static void a_master_that_answers_hello_is_given_time(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    struct told_lines told;
    static const struct step steps[] = {{SILENT, 0, NULL}};
    f->hello = "{leader: 0, voters: 2, votersUp: 2}";
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 5000);
    listen_to(api, &told);
    assert_int_equal(write_once(api, &err), ERR_UNKNOWN_OUTCOME);
    finish(f, api);
    fclose(told.file);
    assert_int_equal(f->at, 1);
    assert_true(f->hellos >= 3);
    assert_string_equal(told.text, "waiting: the masters are electing a leader\n"); /* once */
    free(told.text);
}

static void what_is_waited_for_is_told_again_when_it_is_something_else(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    struct told_lines told;
    static const struct step steps[] = {{SILENT, 0, NULL}};
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 4000);
    listen_to(api, &told);
    assert_int_equal(write_once(api, &err), ERR_UNKNOWN_OUTCOME);
    finish(f, api);
    fclose(told.file);
    assert_non_null(strstr(told.text, "waiting: an answer of 127.0.0.1:"));
    assert_null(strstr(told.text, "electing"));
    free(told.text);
}

static void a_master_that_answers_nothing_is_left_for_the_next(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    static const struct step steps[] = {{SILENT, 0, NULL}, {REPLY, 0, NULL}};
    f->mute = true;
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 20000);
    int64_t start_ms = env_now_ms(env_real());
    assert_int_equal(write_once(api, &err), 0);
    assert_true(env_now_ms(env_real()) - start_ms < 12000);
    finish(f, api);
    assert_memory_equal(f->seen[0].id, f->seen[1].id, sizeof(f->seen[0].id));
}

/* All say that they reach no majority: that is known, and no deadline is waited for. */
static void a_majority_that_is_known_to_be_dead_is_an_error_before_the_deadline(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    struct told_lines told;
    static const struct step steps[] = {{SILENT, 0, NULL}, {SILENT, 0, NULL}, {SILENT, 0, NULL}, {SILENT, 0, NULL}};
    f->hello = "{leader: 0, voters: 5, votersUp: 2}";
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 60000);
    listen_to(api, &told);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_REPLY struct api_reply reply = {0};
    int64_t start_ms = env_now_ms(env_real());
    assert_int_equal(api_read(api, "list", value_map(&a), &reply, &err), ERR_NO_QUORUM);
    assert_true(env_now_ms(env_real()) - start_ms < 30000);
    finish(f, api);
    fclose(told.file);
    assert_non_null(strstr(err.message, "most of the masters of cluster \"test\" are down"));
    assert_non_null(strstr(err.message, "reaches 2 of 5"));
    assert_non_null(strstr(told.text, "waiting: a majority of the masters: 127.0.0.1:"));
    free(told.text);
}

/* On a machine that has much to do handshakes take longer than a connection is waited for. */
static void masters_that_are_slow_to_answer_are_not_given_up(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    static const struct step steps[] = {{REPLY, 0, NULL}};
    f->standstill_ms = API_REFUSED_MS + 700;
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 60000);
    api->connect_ms = 100;
    assert_int_equal(write_once(api, &err), 0);
    finish(f, api);
    assert_int_equal(f->at, 1);
}

/* ---- Watches ---- */

#define CM(name, uid, revision)                                                                                        \
    "{apiVersion: v1, kind: ConfigMap, metadata: {resourceVersion: \"" revision "\", name: " name                      \
    ", namespace: default, uid: \"" uid "\"}}"
#define EVENT(type, object) "{type: " type ", object: " object "}"
#define BOOKMARK            "{type: BOOKMARK}"

struct told {
    struct buf text;
    unsigned stop_after;
};

static bool tell(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    struct told *t = data;
    if (type == API_SYNCED) {
        buf_printf(&t->text, "synced@%llu ", (unsigned long long)revision);
    } else {
        buf_printf(&t->text, "%c%.*s@%llu ",
                   type == API_ADDED      ? '+'
                   : type == API_MODIFIED ? '~'
                                          : '-',
                   STR_ARG(o->name), (unsigned long long)revision);
    }
    return --t->stop_after > 0;
}

static const char *watch(struct fake *f, struct told *t, const struct step *steps, unsigned count)
{
    struct error err = {0};
    struct api *api = start(f, steps, count, 10000);
    struct api_list_query q = {.kind = kind_by_id(KIND_CONFIGMAP), .ns = "default"};
    int rc = api_watch(api, &q, 20000, tell, t, &err);
    finish(f, api);
    if (rc != 0) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(f->at, count);
    return buf_cstr(&t->text);
}

static void a_watch_is_resumed_behind_the_last_revision(void **state)
{
    struct fake *f = *state;
    static const struct step steps[] = {
        {STREAM, ERR_CLOSED,
         "{revision: 5, events: [" EVENT("ADDED", CM("a", "1", "3")) "]}\n---\n"
                                                                     "{revision: 5, events: [" BOOKMARK "]}\n---\n"
                                                                     "{revision: 6, events: [" EVENT(
                                                                         "ADDED", CM("b", "2", "6")) "]}\n"},
        {FAIL, ERR_NO_QUORUM, NULL},
        {STREAM, 0,
         "{revision: 9, events: [" EVENT("MODIFIED", CM("a", "1", "9")) ", " EVENT("DELETED",
                                                                                   CM("b", "2", "6")) "]}\n"},
    };
    struct told t = {.stop_after = 5};
    assert_string_equal(watch(f, &t, steps, ARRAY_SIZE(steps)), "+a@5 synced@5 +b@6 ~a@9 -b@9 ");
    assert_int_equal(f->seen[0].revision, -1);
    assert_int_equal(f->seen[1].revision, 6);
    assert_int_equal(f->seen[2].revision, 6);
    buf_close(&t.text);
}

/* The masters no longer know the revision: what is there now is compared with what was told. */
static void a_watch_that_fell_behind_tells_only_differences(void **state)
{
    struct fake *f = *state;
    static const struct step steps[] = {
        {STREAM, 0,
         "{revision: 5, events: [" EVENT("ADDED", CM("same", "1", "3")) ", " EVENT(
             "ADDED", CM("gone", "2", "4")) ", " EVENT("ADDED",
                                                       CM("changed", "3",
                                                          "5")) ", " EVENT("ADDED",
                                                                           CM("anew", "4",
                                                                              "2")) "]}\n---\n"
                                                                                    "{revision: 5, events: [" BOOKMARK
                                                                                    "]}\n"},
        {FAIL, ERR_EXPIRED, NULL},
        {STREAM, 0,
         "{revision: 90, events: [" EVENT("ADDED", CM("anew", "9", "80")) ", " EVENT(
             "ADDED", CM("changed", "3",
                         "70")) ", " EVENT("ADDED", CM("same", "1", "3")) "]}\n---\n"
                                                                          "{revision: 90, events: [" BOOKMARK
                                                                          "]}\n---\n"
                                                                          "{revision: 91, events: [" EVENT(
                                                                              "ADDED", CM("new", "10", "91")) "]}\n"},
    };
    struct told t = {.stop_after = 10};
    assert_string_equal(watch(f, &t, steps, ARRAY_SIZE(steps)),
                        "+same@5 +gone@5 +changed@5 +anew@5 synced@5 -anew@90 +anew@90 ~changed@90 -gone@90 +new@91 ");
    assert_int_equal(f->seen[2].revision, -1);
    buf_close(&t.text);
}

/* The first listing was cut off: nothing of it is told twice. */
static void a_listing_cut_off_is_begun_again(void **state)
{
    struct fake *f = *state;
    static const struct step steps[] = {
        {STREAM, ERR_CLOSED, "{revision: 5, events: [" EVENT("ADDED", CM("a", "1", "3")) "]}\n"},
        {STREAM, 0,
         "{revision: 7, events: [" EVENT("ADDED", CM("a", "1", "3")) ", " EVENT(
             "ADDED", CM("b", "2", "6")) "]}\n---\n"
                                         "{revision: 7, events: [" BOOKMARK "]}\n"},
    };
    struct told t = {.stop_after = 3};
    assert_string_equal(watch(f, &t, steps, ARRAY_SIZE(steps)), "+a@5 +b@7 synced@7 ");
    assert_int_equal(f->seen[1].revision, -1);
    buf_close(&t.text);
}

static void a_watch_that_nothing_can_serve_ends_with_the_reason(void **state)
{
    struct fake *f = *state;
    struct error err = {0};
    static const struct step steps[] = {{FAIL, ERR_FORBIDDEN, NULL}};
    struct told t = {.stop_after = 1};
    struct api *api = start(f, steps, ARRAY_SIZE(steps), 10000);
    struct api_list_query q = {.kind = kind_by_id(KIND_CONFIGMAP)};
    assert_int_equal(api_watch(api, &q, 0, tell, &t, &err), ERR_FORBIDDEN);
    finish(f, api);
    buf_close(&t.text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- Logs ---- */

struct read_log {
    char text[256], notes[512];
};

static void log_text(struct str text, void *data)
{
    struct read_log *l = data;
    size_t n = strlen(l->text);
    snprintf(l->text + n, sizeof(l->text) - n, "%.*s", STR_ARG(text));
}

static void log_note(const char *text, void *data)
{
    struct read_log *l = data;
    size_t n = strlen(l->notes);
    snprintf(l->notes + n, sizeof(l->notes) - n, "%s;", text);
}

static int read_log(struct fake *f, const char *params, const struct step *steps, unsigned count, struct read_log *out,
                    struct error *err)
{
    static const struct api_log_events events = {log_text, log_note};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value **docs;
    unsigned docs_count;
    assert_int_equal(yaml_read(&a, str_of(params), NULL, &docs, &docs_count, err), 0);
    struct api *api = start(f, steps, count, 5000);
    *out = (struct read_log){0};
    api->ping.period_ms = f->ping_ms > 0 ? f->ping_ms : api->ping.period_ms;
    api->ping.late_ms = f->ping_ms > 0 ? 4 * f->ping_ms : api->ping.late_ms;
    struct api_log *l = api_log_open(api, docs[0], &events, out);
    api_run(api, api_log_ended(l), 0);
    int rc = api_log_close(l, err);
    finish(f, api);
    return rc;
}

static void a_log_that_is_cut_goes_on_at_its_place(void **state)
{
    struct fake *f = *state;
    static const struct step steps[] = {
        {FAIL, ERR_NO_QUORUM, NULL},
        {STREAM, ERR_CLOSED, "{after: p0, text: ''}"},
        {STREAM, ERR_CLOSED, "{after: p1, text: \"a\\nb\"}\n---\n{after: p2, text: \"c\\n\"}"},
        {FAIL, ERR_NO_QUORUM, NULL},
        {HANG_UP, 0, NULL},
        {FAIL, ERR_BUSY, NULL},
        {STREAM, ERR_CLOSED, "{after: p2, text: ''}"},
        {STREAM, 0, "{after: p2, text: ''}\n---\n{after: p3, text: \"d\\n\", gap: true}"},
    };
    struct read_log l;
    struct error err = {0};
    int rc = read_log(f, "{name: p, follow: true, tailLines: 9, limitBytes: 100}", steps, ARRAY_SIZE(steps), &l, &err);
    assert_int_equal(rc, 0);
    assert_string_equal(l.text, "a\nbc\nd\n");
    static const char *const after[] = {"", "", "p0", "p2", "p2", "p2", "p2", "p2"};
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        assert_string_equal(f->seen[i].method, "logs");
        assert_string_equal(f->seen[i].after, after[i]);
        assert_int_equal(f->seen[i].tail, i < 2 ? 9 : -1);
        assert_int_equal(f->seen[i].limit, i < 3 ? 100 : 95);
    }
    assert_non_null(strstr(l.notes, "lines are missing here"));
}

static void a_log_that_is_not_there_is_an_error_at_once(void **state)
{
    struct fake *f = *state;
    static const struct step steps[] = {{FAIL, ERR_NOT_FOUND, NULL}};
    struct read_log l;
    struct error err = {0};
    assert_int_equal(read_log(f, "{name: p}", steps, 1, &l, &err), ERR_NOT_FOUND);
    assert_string_equal(err.message, "the script says so");
    assert_string_equal(l.notes, "");
}

static void a_master_that_hangs_is_left(void **state)
{
    struct fake *f = *state;
    static const struct step steps[] = {
        {STREAM, KEPT, "{after: p1, text: a}"},
        {STREAM, 0, "{after: p2, text: b}"},
    };
    struct read_log l;
    struct error err = {0};
    f->ping_ms = 100;
    f->mute = true;
    assert_int_equal(read_log(f, "{name: p, follow: true}", steps, ARRAY_SIZE(steps), &l, &err), 0);
    assert_string_equal(l.text, "ab");
    assert_true(f->hellos >= 1);
    assert_string_equal(f->seen[1].after, "p1");
}

static void a_master_that_has_lost_the_others_is_left(void **state)
{
    struct fake *f = *state;
    static const struct step steps[] = {
        {STREAM, KEPT, "{after: p1, text: a}"},
        {STREAM, 0, "{after: p2, text: b}"},
    };
    struct read_log l;
    struct error err = {0};
    f->ping_ms = 100;
    f->hello = "{leader: 0, voters: 2, votersUp: 2}";
    assert_int_equal(read_log(f, "{name: p, follow: true}", steps, ARRAY_SIZE(steps), &l, &err), 0);
    assert_string_equal(l.text, "ab");
    assert_true(f->hellos >= (unsigned)API_PING_LEADERLESS);
    assert_string_equal(f->seen[1].after, "p1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_goes_to_the_next_master_under_the_same_id),
        TEST(two_writes_have_two_ids),
        TEST(a_refusal_is_not_repeated),
        TEST(a_write_without_an_answer_is_of_unknown_outcome),
        TEST(no_quorum_till_the_deadline_is_no_quorum),
        TEST(a_request_tells_the_master_how_long_it_may_wait),
        TEST(a_master_that_knows_no_timeout_is_asked_without),
        TEST(a_master_that_answers_hello_is_given_time),
        TEST(what_is_waited_for_is_told_again_when_it_is_something_else),
        TEST(a_master_that_answers_nothing_is_left_for_the_next),
        TEST(a_majority_that_is_known_to_be_dead_is_an_error_before_the_deadline),
        TEST(masters_that_are_slow_to_answer_are_not_given_up),
        TEST(a_watch_is_resumed_behind_the_last_revision),
        TEST(a_watch_that_fell_behind_tells_only_differences),
        TEST(a_listing_cut_off_is_begun_again),
        TEST(a_watch_that_nothing_can_serve_ends_with_the_reason),
        TEST(a_log_that_is_cut_goes_on_at_its_place),
        TEST(a_master_that_hangs_is_left),
        TEST(a_master_that_has_lost_the_others_is_left),
        TEST(a_log_that_is_not_there_is_an_error_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
