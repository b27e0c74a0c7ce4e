/* Requests that meet an election wait for its end: whatever is asked while the leader is frozen, killed or gives the
 * leadership away is answered, and not with an error. What waits is bounded in number and in time, and goes when
 * whoever asked has gone. */
#include "tests/unit/kit/master_kit.h"

/* As in master/master.h. */
#define PARKED_MAX 16384

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

static int thaw(void **state)
{
    kit_thaw_all(*state);
    return 0;
}

/* ---- Many requests at once ---- */

struct asked {
    const char *method;
    bool done;
    int code;
    char message[512], field[128];
    int64_t at_ms;
};

static void on_answer(const struct rpc_result *r, void *data)
{
    struct asked *a = data;
    a->done = true;
    a->at_ms = kit_now();
    if (r->error != NULL) {
        a->code = r->error->code;
        snprintf(a->message, sizeof a->message, "%.500s", r->error->message);
        snprintf(a->field, sizeof a->field, "%.120s", r->error->field);
    }
}

static void ask_value(struct client *c, struct asked *a, const char *method, const struct value *params)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    *a = (struct asked){.method = method};
    msgpack_write_value(&b, params);
    rpc_call(c->rpc, method, buf_str(&b), 0, on_answer, a);
}

static void ask(struct client *c, struct asked *a, const char *method, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void ask(struct client *c, struct asked *a, const char *method, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ask_value(c, a, method, kit_vdoc(c->kit, fmt, ap));
    va_end(ap);
}

/* A write: with an id, so that it may be repeated. */
static void ask_write(struct client *c, struct asked *a, const char *method, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void ask_write(struct client *c, struct asked *a, const char *method, const char *fmt, ...)
{
    uint8_t id[16];
    va_list ap;
    env_random(env_real(), id, sizeof id);
    va_start(ap, fmt);
    struct value *params = kit_vdoc(c->kit, fmt, ap);
    va_end(ap);
    value_set(&c->kit->arena, params, "id", value_bin(&c->kit->arena, id, sizeof id));
    ask_value(c, a, method, params);
}

static void assert_done(struct kit *k, struct asked *a, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        kit_until(k, &a[i].done, a[i].method);
        if (a[i].code != 0) {
            fail_msg("%s: %s: %s", a[i].method, err_reason(a[i].code), a[i].message);
        }
    }
}

#define SORTS 10
#define DONE  8 /* the first so many succeed; of the others, what is asked makes no sense, and that is the answer */

/* One request of every sort; `round` makes their objects. */
static void ask_all(struct client *c, struct asked a[SORTS], const char *round)
{
    ask(c, &a[0], "get", "{kind: ConfigMap, name: there}");
    ask(c, &a[1], "list", "{kind: ConfigMap}");
    ask_write(c, &a[2], "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: new-%s}}}", round);
    ask_write(c, &a[3], "apply",
              "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: applied-%s}, data: {v: '1'}}]}", round);
    ask_write(c, &a[4], "patch", "{kind: ConfigMap, name: there, type: merge, patch: {data: {last: '%s'}}}", round);
    ask_write(c, &a[5], "txn",
              "{ops: [{op: create, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: txn-%s}}}]}", round);
    ask_write(c, &a[6], "deletecollection", "{kind: ConfigMap, labelSelector: no=%s}", round);
    ask(c, &a[7], "token", "{role: node}");
    ask(c, &a[8], "cert.renew", "{csr: 'none of the sort'}");
    ask(c, &a[9], "master.remove", "{id: 77}");
}

/* An answer to what was asked, or success: nothing that only an election explains. */
static void assert_judged(const char *method, int code, const char *message)
{
    if (code == ERR_NO_QUORUM || code == ERR_NOT_LEADER || code == ERR_UNKNOWN_OUTCOME || code == ERR_TIMEOUT ||
        code == ERR_CLOSED || code == ERR_BUSY) {
        fail_msg("%s: %s: %s", method, err_reason(code), message);
    }
}

/* To both of the masters that stay: while the leader does not answer, and until the others have found another one. */
static void assert_answered(struct kit *k, unsigned leader, const char *round,
                            void (*go)(struct kit *k, unsigned leader))
{
    struct client *c[2], *at_leader = client_admin(k, leader);
    struct asked a[2][SORTS];
    struct stream *watches[2], *logs[2];
    must(at_leader, "apply", "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: there}}]}");
    client_close(at_leader);
    for (unsigned i = 0; i < 2; i++) {
        c[i] = client_admin(k, (leader + 1 + i) % 3);
        must(c[i], "get", "{kind: ConfigMap, name: there}");
    }
    go(k, leader);
    int64_t start = kit_now();
    for (unsigned i = 0; i < 2; i++) {
        ask_all(c[i], a[i], arena_printf(&k->arena, "%s-%u", round, i));
        watches[i] = stream_open(c[i], "watch", "{kind: ConfigMap}");
        logs[i] = stream_open(c[i], "logs", "{namespace: default, name: nobody}");
    }
    int64_t slowest = 0;
    for (unsigned i = 0; i < 2; i++) {
        assert_done(k, a[i], DONE);
        for (unsigned j = DONE; j < SORTS; j++) {
            kit_until(k, &a[i][j].done, a[i][j].method);
            assert_judged(a[i][j].method, a[i][j].code, a[i][j].message);
        }
        assert_non_null(stream_next(watches[i]));
        stream_close(watches[i]);
        stream_wait_end(logs[i]);
        assert_int_equal(logs[i]->end.code, ERR_NOT_FOUND); /* the leader has looked */
        stream_close(logs[i]);
        for (unsigned j = 0; j < SORTS; j++) {
            slowest = MAX(slowest, a[i][j].at_ms - start);
        }
    }
    print_message("%s: the slowest answer after %lld ms\n", round, (long long)slowest);
    for (unsigned i = 0; i < 2; i++) {
        client_close(c[i]);
    }
}

static void kill_it(struct kit *k, unsigned i)
{
    kit_stop(k, i, SIGKILL);
}

/* It is on its way when the requests are. */
static struct {
    struct client *c;
    struct asked asked;
} moving;

static void transfer(struct kit *k, unsigned i)
{
    moving.c = client_admin(k, i);
    must(moving.c, "hello", "{}");
    ask(moving.c, &moving.asked, "master.transfer", "{}");
}

/* It listens. */
static void wait_up(struct kit *k, unsigned i)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 20)) {
        struct client *c = client_admin(k, i);
        bool up = call(c, "hello", "{}") == 0;
        client_close(c);
        if (up) {
            return;
        }
        assert_true(kit_now() < until);
    }
}

static void test_all_that_is_asked_while_the_leader_sleeps_is_answered(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    assert_answered(k, leader, "frozen", kit_freeze);
    kit_thaw(k, leader);
}

static void test_all_that_is_asked_when_the_leader_has_died_is_answered(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    assert_answered(k, leader, "killed", kill_it);
    kit_start(k, leader);
    wait_up(k, leader);
}

static void test_all_that_is_asked_when_the_leadership_moves_is_answered(void **state)
{
    struct kit *k = *state;
    kit_wait_voters(k, kit_leader(k), 3);
    assert_answered(k, kit_leader(k), "transferred", transfer);
    kit_until(k, &moving.asked.done, "master.transfer");
    if (moving.asked.code !=
        0) { /* the heir, started a moment ago, was not quick enough; all were answered nevertheless */
        assert_int_equal(moving.asked.code, ERR_TIMEOUT);
    }
    client_close(moving.c);
}

/* ... and to the leader itself, which loses it with the requests on its hands. */
static void test_a_leader_that_was_deposed_in_its_sleep_answers_what_it_held(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    struct client *at_old = client_admin(k, leader), *other = client_admin(k, (leader + 1) % 3);
    struct asked a[SORTS], moved;
    must(at_old, "apply", "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: there}}]}");
    must(other, "get", "{kind: ConfigMap, name: there}");
    kit_freeze(k, leader);
    ask_write(other, &moved, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: meanwhile}}}");
    assert_done(k, &moved, 1); /* so another one leads */
    ask_all(at_old, a, "deposed");
    kit_thaw(k, leader);
    assert_done(k, a, DONE);
    client_close(at_old);
    client_close(other);
}

/* ---- Without a majority ---- */

/* The master that is left; the other two are killed, and it knows no leader. */
static unsigned leave_one(struct kit *k)
{
    unsigned leader = kit_leader(k), last = (leader + 1) % 3;
    kit_stop(k, leader, SIGKILL);
    kit_stop(k, (leader + 2) % 3, SIGKILL);
    struct client *c = client_admin(k, last);
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 20)) {
        if (call(c, "cluster", "{}") == 0 && int_at(c, "leader") == 0) {
            break;
        }
        assert_true(kit_now() < until);
    }
    client_close(c);
    return last;
}

static void start_others(struct kit *k, unsigned last)
{
    kit_start(k, (last + 1) % 3);
    kit_start(k, (last + 2) % 3);
    wait_up(k, (last + 1) % 3);
    wait_up(k, (last + 2) % 3);
}

static void test_a_request_waits_no_longer_than_it_says(void **state)
{
    struct kit *k = *state;
    unsigned last = leave_one(k);
    struct client *c = client_admin(k, last);
    struct asked a[4];
    int64_t start = kit_now();
    ask(c, &a[0], "get", "{kind: ConfigMap, name: x, timeoutMs: 300}");
    ask(c, &a[1], "token", "{role: node, timeoutMs: 300}");
    ask(c, &a[2], "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: late}}, timeoutMs: 300}");
    ask(c, &a[3], "get", "{kind: ConfigMap, name: x, timeoutMs: 0}");
    for (unsigned i = 0; i < 4; i++) {
        kit_until(k, &a[i].done, a[i].method);
        assert_int_equal(a[i].code, ERR_NO_QUORUM);
        assert_non_null(strstr(a[i].message, "no leader is known"));
        assert_true(i == 3 || a[i].at_ms - start >= 300);
        assert_true(a[i].at_ms - start < 8000);
    }
    /* What waits when the majority comes back is done then. */
    ask(c, &a[0], "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: patient}}, timeoutMs: 60000}");
    must(c, "cluster", "{}");
    assert_int_equal(int_at(c, "stats.waitingForLeader"), 1);
    start_others(k, last);
    assert_done(k, a, 1);
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: ConfigMap, name: late}"); /* an error is an error */
    must(c, "get", "{kind: ConfigMap, name: patient}");
    client_close(c);
}

static void test_an_agent_is_told_the_leader_as_soon_as_there_is_one(void **state)
{
    struct kit *k = *state;
    unsigned last = leave_one(k);
    struct client *agent = client_as(k, last, PKI_ROLE_NODE, "patient");
    struct asked a;
    /* As long as the master's right to serve agents lasts, which outlives the leader by a second or so, it may say at
     * once that the leader cannot be reached. */
    for (int64_t end = kit_now() + KIT_WAIT_MS;;) {
        ask(agent, &a, "node.register",
            "{node: {apiVersion: v1, kind: Node, metadata: {name: patient}}, timeoutMs: 60000}");
        for (int64_t until = kit_now() + 500; kit_now() < until && !a.done;) { /* longer than any pause of a retry */
            kit_turn(k, 50);
        }
        if (!a.done) {
            break;
        }
        assert_int_equal(a.code, ERR_NO_QUORUM);
        assert_true(kit_now() < end);
        for (int64_t until = kit_now() + 100; kit_now() < until;) {
            kit_turn(k, 50);
        }
    }
    start_others(k, last);
    kit_until(k, &a.done, "node.register");
    if (a.code != 0) {
        assert_int_equal(a.code, ERR_NOT_LEADER);
        assert_string_not_equal(a.field, "");
        assert_string_not_equal(a.field, k->masters[last].addr);
    }
    client_close(agent);
}

static void test_what_waits_is_bounded_and_goes_with_its_connection(void **state)
{
    enum { CLIENTS = 5, EACH = 4000 }; /* of one identity 4,096 writes may have begun */
    struct kit *k = *state;
    unsigned last = leave_one(k);
    struct client *c[CLIENTS], *looker = client_admin(k, last);
    struct asked *a = xcalloc(CLIENTS * EACH, sizeof *a);
    for (unsigned i = 0; i < CLIENTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "admin-%u", i);
        c[i] = client_as(k, last, PKI_ROLE_ADMIN, name);
        must(c[i], "hello", "{}");
        for (unsigned j = 0; j < EACH; j++) {
            ask(c[i], &a[i * EACH + j], "token", "{role: node, timeoutMs: 300000}");
        }
        must(c[i], "hello", "{}"); /* behind all of them */
    }
    unsigned busy = 0;
    for (unsigned i = 0; i < CLIENTS * EACH; i++) {
        if (a[i].done) {
            assert_int_equal(a[i].code, ERR_BUSY);
            assert_non_null(strstr(a[i].message, "16384 requests wait for a leader already"));
            busy++;
        }
    }
    assert_int_equal(busy, CLIENTS * EACH - PARKED_MAX);
    must(looker, "cluster", "{}");
    assert_int_equal(int_at(looker, "stats.waitingForLeader"), PARKED_MAX);
    assert_int_equal(int_at(looker, "stats.refusedWaiting"), busy);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_close(c[i]);
    }
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 20)) {
        must(looker, "cluster", "{}");
        if (int_at(looker, "stats.waitingForLeader") == 0) {
            break;
        }
        assert_true(kit_now() < until);
    }
    client_close(looker);
    start_others(k, last);
    free(a);
    kit_leader(k);
}

/* ---- What rctl shows of it ---- */

static const char *rctl(struct kit *k, int *code, const char *a, const char *b)
{
    char *said;
    *code = kit_rctl(k, &said, (const char *const[]){a, b, NULL});
    const char *text = arena_strdup(&k->arena, said);
    free(said);
    return text;
}

static void assert_has(const char *text, const char *part, bool has)
{
    if ((strstr(text, part) != NULL) != has) {
        fail_msg("%s \"%s\" in: %s", has ? "no" : "there is", part, text);
    }
}

/* Two of three are up, and do not know yet that the third, which led, is dead; or know it, and have not elected
 * another one. */
static void test_status_during_an_election_says_that_one_is_under_way(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    int code;
    char *said;
    kit_wait_voters(k, leader, 3);
    kit_rctl(k, &said,
             (const char *const[]){"config", "set-servers", k->masters[(leader + 1) % 3].addr,
                                   k->masters[(leader + 2) % 3].addr, k->masters[leader].addr, NULL});
    free(said);
    /* No master can win while the other one that is left sleeps: the election lasts as long as the test likes. */
    kit_stop(k, leader, SIGKILL);
    unsigned awake = (leader + 1) % 3, asleep = (leader + 2) % 3;
    struct client *c = client_admin(k, awake);
    kit_freeze(k, asleep);
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 20)) {
        if (call(c, "cluster", "{}") == 0 && int_at(c, "leader") == 0) {
            break;
        }
        assert_true(kit_now() < until);
    }
    const char *text = rctl(k, &code, "cluster", "status");
    assert_has(text, "No quorum: 1 of 3 voters is up, 2 are needed", true);
    assert_int_equal(code, 7);
    assert_has(text, "leader ", false);
    kit_thaw(k, asleep);
    /* From now on it may be elected at any time: each answer is one of the two, and never a leader that is down. */
    for (int64_t until = kit_now() + KIT_WAIT_MS;;) {
        text = rctl(k, &code, "cluster", "status");
        bool electing = strstr(text, "Electing a leader: 2 of 3 voters are up") != NULL;
        bool done = strstr(text, "2 of 3 voters are up: it can lose 0 more") != NULL;
        assert_int_equal(code, done ? 0 : 7);
        assert_has(text, "leader  down", false);
        if (done) {
            assert_has(text, "leader", true);
            break;
        }
        assert_true(electing || strstr(text, "1 of 3 voters is up") != NULL);
        assert_true(kit_now() < until);
    }
    client_close(c);
    kit_start(k, leader);
    wait_up(k, leader);
}

/* A member that is down is no leader, though those who are asked still say so. */
static void test_status_right_after_a_kill_shows_no_leader_that_is_down(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    int code;
    kit_freeze(k, leader);
    const char *text = rctl(k, &code, "cluster", "status");
    char dead[64];
    snprintf(dead, sizeof dead, "%s  leader  down", k->masters[leader].addr);
    assert_has(text, dead, false);
    assert_has(text, "3 of 3", false);
    text = rctl(k, &code, "master", "list");
    assert_has(text, dead, false);
    kit_thaw(k, leader);
    kit_leader(k);
}

/* A command that meets the election waits, says so, and succeeds. */
static void test_rctl_waits_through_an_election(void **state)
{
    struct kit *k = *state;
    unsigned last = leave_one(k);
    int code;
    char *said;
    struct client *c = client_admin(k, last);
    /* Only the one that is left is known: it is alive, so rctl stays with it. */
    kit_rctl(k, &said, (const char *const[]){"config", "set-servers", k->masters[last].addr, NULL});
    free(said);
    const char *text = rctl(k, &code, "token", "create");
    assert_int_equal(code, 7);
    assert_has(text, "most of the masters", true);
    assert_has(text, "reaches 1 of 3", true);
    assert_has(text, "waiting: a majority of the masters", true);
    start_others(k, last);
    text = rctl(k, &code, "token", "create");
    if (code != 0) {
        fail_msg("token create: %d: %s", code, text);
    }
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_all_that_is_asked_while_the_leader_sleeps_is_answered, thaw),
        cmocka_unit_test(test_all_that_is_asked_when_the_leader_has_died_is_answered),
        cmocka_unit_test(test_all_that_is_asked_when_the_leadership_moves_is_answered),
        cmocka_unit_test_teardown(test_a_leader_that_was_deposed_in_its_sleep_answers_what_it_held, thaw),
        cmocka_unit_test(test_a_request_waits_no_longer_than_it_says),
        cmocka_unit_test(test_an_agent_is_told_the_leader_as_soon_as_there_is_one),
        cmocka_unit_test(test_what_waits_is_bounded_and_goes_with_its_connection),
        cmocka_unit_test_teardown(test_status_during_an_election_says_that_one_is_under_way, thaw),
        cmocka_unit_test_teardown(test_status_right_after_a_kill_shows_no_leader_that_is_down, thaw),
        cmocka_unit_test(test_rctl_waits_through_an_election),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
