/* Streams that are taken up again at an agent: with what they are, and what a stranger or a confused client may ask. */
#include "agent/serve/stream.h"
#include "proto/rpc/channel.h"
#include "tests/unit/agent_whole.h"

struct seen {
    struct rpc_stream *st;
    char out[64];
    unsigned greetings;
    uint64_t received; /* as the agent says */
    bool ended, told_end, finished;
    int64_t exit_code;
    struct error error;
};

static void on_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct seen *x = data;
    struct mp out = mp_get(payload, "stdout");
    struct str text;
    uint32_t count;
    uint64_t kind = 0;
    if (mp_read_bin(&out, &text)) {
        snprintf(x->out + strlen(x->out), sizeof x->out - strlen(x->out), "%.*s", STR_ARG(text));
    }
    x->exit_code = mp_int(mp_get(payload, "exit"), x->exit_code);
    if (mp_type(payload) == MP_ARRAY && mp_read_array(&payload, &count) && mp_read_uint(&payload, &kind)) {
        x->greetings += kind == 2 && mp_read_uint(&payload, &x->received);
        x->told_end = x->told_end || kind == 1;
    }
    rpc_stream_consumed(st, n);
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct seen *x = data;
    x->ended = true;
    x->st = NULL;
    if (err != NULL) {
        x->error = *err;
    }
    if (!x->finished) {
        rpc_stream_end(st, NULL);
    }
}

static void finish(struct seen *x, const struct error *err)
{
    x->finished = true;
    rpc_stream_end(x->st, err);
}

static const char *asker = "alice"; /* what the master says of who asks; NULL: one of a release before */

/* number: tells streams with the same letter apart. */
static void open_exec_of(struct fixture *f, struct seen *x, const char *command, char token, unsigned number,
                         int64_t try_, int64_t received)
{
    static const struct rpc_stream_events events = {.on_data = on_data, .on_end = on_end};
    CLEANUP_BUF struct buf b = BUF_INIT;
    char bytes[CHANNEL_TOKEN];
    memset(bytes, token, sizeof bytes);
    bytes[0] = (char)(bytes[0] + (char)(number >> 8));
    bytes[1] = (char)(bytes[1] + (char)number);
    *x = (struct seen){.exit_code = -1};
    mp_write_map(&b, asker == NULL ? 5 : 6);
    if (asker != NULL) {
        mp_write_key_str(&b, "asker", str_of(asker));
    }
    mp_write_key_str(&b, "namespace", STR("default"));
    mp_write_key_str(&b, "name", STR("web"));
    mp_write_key_bool(&b, "stdin", true);
    mp_write_cstr(&b, "command");
    mp_write_array(&b, 1);
    mp_write_cstr(&b, command);
    mp_write_cstr(&b, "resume");
    mp_write_map(&b, received >= 0 ? 3 : 2);
    mp_write_cstr(&b, "token");
    mp_write_bin(&b, bytes, token == 's' ? 3 : sizeof bytes); /* s: a short one */
    mp_write_key_int(&b, "try", try_);
    if (received >= 0) {
        mp_write_key_int(&b, "received", received);
    }
    x->st = rpc_stream_open(f->master.agent, "pod.exec", buf_str(&b), &events, x);
}

static void open_exec(struct fixture *f, struct seen *x, const char *command, char token, int64_t try_,
                      int64_t received)
{
    open_exec_of(f, x, command, token, 0, try_, received);
}

static size_t type(struct fixture *f, struct seen *x, const char *text)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "stdin");
    mp_write_bin(&b, text, strlen(text));
    run_until(&f->loop, x->st == NULL || rpc_stream_write(x->st, buf_str(&b)) == 0);
    return b.size;
}

static size_t payload_size(const char *text) /* of it as output */
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "stdout");
    mp_write_bin(&b, text, strlen(text));
    return b.size;
}

static void pod_runs(struct fixture *f)
{
    master_order(f->master.pods, "ADDED", POD("web", SLEEP));
    run_until(&f->loop, master_heard(&f->master, "status default/web Running"));
}

static void stream_that_is_cut_goes_on_where_it_was(void **state)
{
    struct fixture *f = *state;
    struct seen x, again, late;
    pod_runs(f);
    open_exec(f, &x, "cat", 't', 1, -1);
    size_t n = type(f, &x, "one");
    run_until(&f->loop, strcmp(x.out, "one") == 0);
    assert_int_equal(x.greetings, 1);
    struct error cut = {0};
    error_set(&cut, ERR_CANCELED, "the master is gone");
    finish(&x, &cut);                       /* as the leader says of a follower */
    open_exec(f, &again, "cat", 't', 2, 0); /* the output is asked for again */
    run_until(&f->loop, strcmp(again.out, "one") == 0);
    assert_int_equal(again.received, n);
    n += type(f, &again, "two");
    run_until(&f->loop, strcmp(again.out, "onetwo") == 0);
    /* Over the next one while the old one is still there: that one is left. */
    open_exec(f, &late, "cat", 't', 3, (int64_t)payload_size("one"));
    run_until(&f->loop, again.ended && strcmp(late.out, "two") == 0);
    assert_int_equal(again.error.code, ERR_CLOSED);
    assert_int_equal(late.received, n);
    /* And a request that was on its way for long takes nothing away. */
    open_exec(f, &again, "cat", 't', 2, 0);
    run_until(&f->loop, again.ended);
    assert_int_equal(again.error.code, ERR_CONFLICT);
    type(f, &late, "three");
    run_until(&f->loop, strcmp(late.out, "twothree") == 0);
    finish(&late, NULL);
    run_until(&f->loop, late.ended);
    open_exec(f, &again, "cat", 't', 4, 0); /* its client has ended it: nothing is kept */
    run_until(&f->loop, again.ended);
    assert_int_equal(again.error.code, ERR_EXPIRED);
}

static void exit_code_waits_for_a_client_that_was_cut(void **state)
{
    struct fixture *f = *state;
    struct seen x, again;
    pod_runs(f);
    open_exec(f, &x, "exit-at-once", 'e', 1, -1);
    run_until(&f->loop, x.told_end);
    struct error cut = {0};
    error_set(&cut, ERR_CANCELED, "the master is gone");
    finish(&x, &cut);
    open_exec(f, &again, "exit-at-once", 'e', 2, 0);
    run_until(&f->loop, again.told_end);
    assert_int_equal(again.exit_code, 0);
    finish(&again, NULL);
    run_until(&f->loop, again.ended);
}

static void what_cannot_be_taken_up_is_refused_and_disturbs_nothing(void **state)
{
    struct fixture *f = *state;
    static const struct {
        char token;
        int64_t try_, received;
        int code;
    } asked[] = {{'x', 2, 0, ERR_EXPIRED}, /* no such token */
                 {'s', 2, 0, ERR_USAGE},       {'s', 1, -1, ERR_USAGE},
                 {'t', 0, 0, ERR_USAGE},       {'t', -5, 0, ERR_USAGE},
                 {'t', 1, 0, ERR_CONFLICT},    {'t', 2, 1, ERR_USAGE}, /* not where a payload ends */
                 {'t', 2, 1000000, ERR_USAGE}, {'t', 2, INT64_MAX, ERR_USAGE}};
    struct seen x, y;
    pod_runs(f);
    open_exec(f, &x, "cat", 't', 1, -1);
    type(f, &x, "one");
    run_until(&f->loop, strcmp(x.out, "one") == 0);
    for (unsigned i = 0; i < ARRAY_SIZE(asked); i++) {
        open_exec(f, &y, "cat", asked[i].token, asked[i].try_, asked[i].received);
        run_until(&f->loop, y.ended);
        if (y.error.code != asked[i].code) {
            fail_msg("request %u: %s: %s", i, err_reason(y.error.code), y.error.message);
        }
    }
    type(f, &x, "two");
    run_until(&f->loop, strcmp(x.out, "onetwo") == 0);
    finish(&x, NULL);
    run_until(&f->loop, x.ended);
}

static void refused(struct fixture *f, char token, int64_t try_, int code)
{
    struct seen y;
    open_exec(f, &y, "cat", token, try_, 0);
    run_until(&f->loop, y.ended);
    assert_int_equal(y.error.code, code);
    assert_string_equal(y.out, "");
}

static void only_who_began_a_stream_takes_it_up(void **state)
{
    struct fixture *f = *state;
    static const char *const others[] = {"mallory", "", "alic", "alice2", NULL};
    struct seen x, y;
    pod_runs(f);
    open_exec(f, &x, "cat", 't', 1, -1);
    type(f, &x, "one");
    run_until(&f->loop, strcmp(x.out, "one") == 0);
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        asker = others[i];
        refused(f, 't', 9, ERR_FORBIDDEN);
    }
    asker = "alice";
    open_exec(f, &y, "cat", 't', 2, 0);
    run_until(&f->loop, strcmp(y.out, "one") == 0);
    finish(&y, NULL);
    run_until(&f->loop, y.ended);
    /* Begun over a master of a release before, which did not say. */
    asker = NULL;
    open_exec(f, &x, "cat", 'u', 1, -1);
    type(f, &x, "one");
    run_until(&f->loop, strcmp(x.out, "one") == 0);
    asker = "alice";
    open_exec(f, &y, "cat", 'u', 2, 0);
    run_until(&f->loop, strcmp(y.out, "one") == 0);
    finish(&y, NULL);
    run_until(&f->loop, y.ended);
}

static void a_stream_of_a_pod_that_was_replaced_is_not_taken_up(void **state)
{
    struct fixture *f = *state;
    struct seen x;
    pod_runs(f);
    open_exec(f, &x, "cat", 't', 1, -1);
    type(f, &x, "one");
    run_until(&f->loop, strcmp(x.out, "one") == 0);
    struct error gone = {0};
    error_set(&gone, ERR_CANCELED, "the master is gone");
    finish(&x, &gone);
    run_until(&f->loop, x.ended);
    master_order(f->master.pods, "DELETED", POD("web", SLEEP));
    master_order(f->master.pods, "ADDED",
                 "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web','namespace':'default','uid':'another'},"
                 "'spec':{'nodeName':'n1'," SLEEP "}}");
    /* Until the agent knows the new one, the old one's stream is still its client's: asked for with nonsense. */
    do {
        open_exec(f, &x, "cat", 't', 1, 0);
        run_until(&f->loop, x.ended);
    } while (x.error.code == ERR_CONFLICT);
    assert_int_equal(x.error.code, ERR_EXPIRED);
    assert_non_null(strstr(x.error.message, "another one has its name"));
    refused(f, 't', 2, ERR_EXPIRED);
}

static void client_that_breaks_the_rules_loses_its_stream_and_no_other(void **state)
{
    struct fixture *f = *state;
    struct seen x, y;
    CLEANUP_BUF struct buf b = BUF_INIT;
    pod_runs(f);
    open_exec(f, &x, "cat", 'x', 1, -1);
    open_exec(f, &y, "cat", 'y', 1, -1);
    mp_write_array(&b, 2);
    mp_write_uint(&b, 0);
    mp_write_uint(&b, UINT64_MAX); /* acknowledges what was never sent */
    run_until(&f->loop, rpc_stream_write(y.st, buf_str(&b)) == 0);
    run_until(&f->loop, y.ended);
    assert_int_equal(y.error.code, ERR_PROTOCOL);
    type(f, &x, "one");
    run_until(&f->loop, strcmp(x.out, "one") == 0);
    finish(&x, NULL);
    run_until(&f->loop, x.ended);
}

static void agent_stops_with_streams_that_wait_for_their_clients(void **state)
{
    struct fixture *f = *state;
    struct seen x[3];
    pod_runs(f);
    for (unsigned i = 0; i < ARRAY_SIZE(x); i++) {
        open_exec(f, &x[i], "cat", (char)('a' + i), 1, -1);
        type(f, &x[i], "one");
        run_until(&f->loop, strcmp(x[i].out, "one") == 0);
        struct error cut = {0};
        error_set(&cut, ERR_CANCELED, "the master is gone");
        finish(&x[i], &cut);
        run_until(&f->loop, x[i].ended);
    }
}

static void cut(struct fixture *f, struct seen *x)
{
    struct error gone = {0};
    error_set(&gone, ERR_CANCELED, "the master is gone");
    finish(x, &gone);
    run_until(&f->loop, x->ended);
}

static void a_stream_that_nobody_comes_for_is_over(void **state)
{
    struct fixture *f = *state;
    struct seen x, late;
    stop_agent(f);
    run_until(&f->loop, f->master.pods == NULL);
    f->cut_ms = 300;
    open_agent(f);
    run_until(&f->loop, f->master.pods != NULL && f->master.refs != NULL && f->master.routes != NULL);
    master_order(f->master.pods, NULL, NULL);
    pod_runs(f);
    open_exec(f, &x, "cat", 't', 1, -1);
    type(f, &x, "one");
    run_until(&f->loop, strcmp(x.out, "one") == 0);
    cut(f, &x);
    /* Whoever asks before the time is over is served, so what is asked with is nonsense until it is not known. */
    do {
        open_exec(f, &late, "cat", 't', 1, 0);
        run_until(&f->loop, late.ended);
    } while (late.error.code == ERR_CONFLICT);
    assert_int_equal(late.error.code, ERR_EXPIRED);
    assert_non_null(strstr(late.error.message, "nobody came for it"));
}

static void so_many_are_kept_and_no_more(void **state)
{
    struct fixture *f = *state;
    struct seen *x = xcalloc(SERVE_CUT_MAX + 1, sizeof *x), again;
    pod_runs(f);
    for (unsigned i = 0; i <= SERVE_CUT_MAX; i++) {
        open_exec_of(f, &x[i], "cat", 'm', i, 1, -1);
        type(f, &x[i], "one");
        run_until(&f->loop, strcmp(x[i].out, "one") == 0);
    }
    for (unsigned i = 0; i <= SERVE_CUT_MAX; i++) {
        cut(f, &x[i]);
    }
    open_exec_of(f, &again, "cat", 'm', SERVE_CUT_MAX, 2, 0); /* one too many when it was cut */
    run_until(&f->loop, again.ended);
    assert_int_equal(again.error.code, ERR_EXPIRED);
    for (unsigned i = 0; i < SERVE_CUT_MAX; i++) {
        open_exec_of(f, &again, "cat", 'm', i, 2, 0);
        run_until(&f->loop, strcmp(again.out, "one") == 0);
        finish(&again, NULL);
        run_until(&f->loop, again.ended);
    }
    free(x);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, whole_setup, whole_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(stream_that_is_cut_goes_on_where_it_was),
        WITH(exit_code_waits_for_a_client_that_was_cut),
        WITH(what_cannot_be_taken_up_is_refused_and_disturbs_nothing),
        WITH(only_who_began_a_stream_takes_it_up),
        WITH(a_stream_of_a_pod_that_was_replaced_is_not_taken_up),
        WITH(client_that_breaks_the_rules_loses_its_stream_and_no_other),
        WITH(agent_stops_with_streams_that_wait_for_their_clients),
        WITH(a_stream_that_nobody_comes_for_is_over),
        WITH(so_many_are_kept_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
