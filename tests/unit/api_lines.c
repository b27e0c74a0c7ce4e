/* What a front of another language has by its errands: its requests wait for their turn, are confirmed by the leader,
 * forwarded to it, parked while nobody leads, and dropped when whoever asked has hung up. */
#include "tests/unit/api_lines.h"
#include "master/nodes/lease.h"

#include "master/front/audit.h"

/* ---- Forwarded ---- */

static void append_told(struct buf *all, struct asked *q)
{
    await(q);
    buf_printf(all, "%s: %s%s\n", q->line, buf_cstr(&q->told.text),
               q->told.error.code == 0 ? "" : q->told.error.message);
    struct str group, kind, name;
    if (q->told.error.code != 0 && error_about(&q->told.error, &group, &kind, &name)) {
        buf_printf(all, "  %s about %.*s %.*s, %u causes\n", err_reason(q->told.error.code), STR_ARG(kind),
                   STR_ARG(name), q->told.error.causes_all);
    }
    done(q);
}

/* Every write, and refusals of some. */
static void tell_writes(struct place *p, struct buf *all)
{
    static const char *const lines[] = {
        "create a",     "create a",      "create A_b",    "create b id=7", "create b id=7", "update a new",
        "update a new", "update none x", "patch a newer", "patch a newer", "apply a c",     "apply a c",
        "txn d a",      "txn d a",       "delete c",      "delete c",      "clear",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
        append_told(all, ask(p, lines[i]));
    }
}

static void test_a_follower_tells_of_writes_what_the_leader_tells(void **state)
{
    struct town *t = *state;
    CLEANUP_BUF struct buf here = BUF_INIT, there = BUF_INIT;
    struct place *leader = leading(t), *follower = following(t);
    tell_writes(leader, &here);
    assert_int_equal(follower->m.stats.forwarded, 0);
    t->rounds++; /* another request, not the same once more */
    tell_writes(follower, &there);
    assert_int_equal(follower->m.stats.forwarded, 17);
    assert_string_equal(buf_cstr(&here), buf_cstr(&there));
    assert_non_null(strstr(buf_cstr(&here), "AlreadyExists about configmaps a"));
    assert_non_null(strstr(buf_cstr(&here), "Invalid about ConfigMap A_b, 1 causes"));
    assert_non_null(strstr(buf_cstr(&here), "txn d a: created ConfigMap/d\ndeleted ConfigMap/a is gone\n"));
    assert_non_null(strstr(buf_cstr(&here), "apply a c: configured ConfigMap/a\ncreated ConfigMap/c\n"));
    assert_non_null(strstr(buf_cstr(&here), "clear: 2 objects\n"));
}

static void test_who_asks_is_told_as_the_leader_sees_it(void **state)
{
    struct town *t = *state;
    struct place *follower = following(t);
    struct asked *here = ask(leading(t), "whoami"), *there = ask(follower, "whoami");
    char by[32];
    await(here);
    await(there);
    snprintf(by, sizeof by, "\"forwardedBy\":%d", (int)follower->id);
    assert_non_null(strstr(buf_cstr(&here->told.text), "\"user\":\"ann\""));
    assert_null(strstr(buf_cstr(&here->told.text), "forwardedBy"));
    assert_non_null(strstr(buf_cstr(&there->told.text), "\"user\":\"ann\""));
    assert_non_null(strstr(buf_cstr(&there->told.text), by));
    done(here);
    done(there);
}

static void test_a_patch_may_mean_one_object_alone(void **state)
{
    struct town *t = *state;
    struct place *follower = following(t);
    assert_told(ask(follower, "create a"), "created ConfigMap/a\n");
    assert_failed(ask(follower, "patch a x uid=other"), ERR_CONFLICT, "is another object than the one meant");
    assert_told(ask(follower, "patch a x"), "configured ConfigMap/a\n");
}

/* ---- Confirmed ---- */

static void test_a_follower_has_reads_confirmed(void **state)
{
    struct town *t = *state;
    struct place *follower = following(t);
    assert_told(ask(leading(t), "create a"), "created ConfigMap/a\n");
    struct asked *q = ask(follower, "get a"), *stale = ask(follower, "get b stale");
    assert_false(q->told.over); /* the leader is asked first */
    assert_true(stale->told.over);
    assert_failed(stale, ERR_NOT_FOUND, "configmaps \"b\" not found");
    assert_told(q, "ConfigMap/a\n");
    assert_told(ask(leading(t), "create b"), "created ConfigMap/b\n");
    assert_told(ask(follower, "list"), "ConfigMap/a\nConfigMap/b\n");
}

static void test_a_follower_that_is_cut_off_answers_stale_reads_alone(void **state)
{
    struct town *t = *state;
    struct place *follower = following(t);
    assert_told(ask(follower, "create a"), "created ConfigMap/a\n");
    assert_told(ask(follower, "get a"), "ConfigMap/a\n");
    sim_isolate(&t->c.sim, follower->id, true);
    assert_told(ask(follower, "get a stale"), "ConfigMap/a\n");
    int64_t before = t->c.sim.now_ms;
    assert_failed(ask(follower, "get a within=3000"), ERR_NO_QUORUM, "try again");
    assert_in_range(t->c.sim.now_ms - before, 3000, 3500);
}

static void test_a_watch_of_a_follower_begins_with_what_is_confirmed(void **state)
{
    struct town *t = *state;
    struct place *follower = following(t);
    assert_told(ask(leading(t), "create a"), "created ConfigMap/a\n");
    struct asked *q = ask(follower, "watch");
    assert_null(q->told.watch);
    assert_told(ask(leading(t), "delete a"), "deleted ConfigMap/a is gone\n");
    town_run(t, 500);
    assert_string_equal(buf_cstr(&q->told.text), "ADDED ConfigMap/a;\nBOOKMARK ;\nDELETED ConfigMap/a;\n");
    done(q);
}

/* Who leads may have been deposed and not know it, while another one has taken the right away: so the beginning of a
 * watch is confirmed there, too, from wherever it goes on. */
static void test_a_watch_begins_where_the_newest_roles_are_known(void **state)
{
    struct town *t = *state;
    struct place *old = leading(t);
    assert_failed(ask_as(old, PKI_ROLE_USER, "watch behind=1"), ERR_FORBIDDEN, "cannot watch resource");
    sim_isolate(&t->c.sim, old->id, true);
    struct asked *q = ask_as(old, PKI_ROLE_USER, "watch behind=1 within=60000");
    assert_true(replica_leading(old->m.replica)); /* it thinks so */
    assert_false(q->told.over);                   /* and yet does not judge */
    sim_whole(&t->c.sim);
    assert_failed(q, ERR_FORBIDDEN, "cannot watch resource");
}

/* The same for stale reads: it stood still, wakes cut off, and its Raft has not yet waited an election timeout. */
static void test_a_leader_that_stood_still_answers_no_stale_reads(void **state)
{
    struct town *t = *state;
    struct place *old = leading(t);
    old->m.lease = lease_new();
    assert_false(lease_is_recent(&old->m, ERRAND_STALE_MS)); /* nobody has confirmed it */
    lease_tick(&old->m);
    town_run(t, 1000);
    assert_true(lease_is_recent(&old->m, ERRAND_STALE_MS));
    sim_pause(&t->c.sim, old->id, true);
    sim_isolate(&t->c.sim, old->id, true);
    town_run(t, 60000);
    sim_pause(&t->c.sim, old->id, false);
    lease_tick(&old->m);
    assert_true(replica_leading(old->m.replica)); /* it thinks so */
    assert_false(lease_is_recent(&old->m, ERRAND_STALE_MS));
    assert_failed(ask_as(old, PKI_ROLE_USER, "get a stale within=3000"), ERR_NOT_LEADER, "ceased to be the leader");
    assert_false(lease_is_recent(&old->m, ERRAND_STALE_MS));
    sim_whole(&t->c.sim);
    town_run(t, 5000);
    lease_free(old->m.lease);
    old->m.lease = NULL;
}

static const struct env *running; /* the clock that stops while a machine is suspended */
static int64_t suspended_ms;

static int64_t boot_ms(void *data)
{
    (void)data;
    return env_now_ms(running) + suspended_ms;
}

/* Its own clock says that nothing has happened. */
static void test_a_leader_whose_machine_was_suspended_answers_no_stale_reads(void **state)
{
    struct town *t = *state;
    struct place *old = leading(t);
    struct env env = *old->m.env;
    running = old->m.env;
    suspended_ms = 0;
    env.boot_ms = boot_ms;
    old->m.env = &env;
    old->m.lease = lease_new();
    lease_tick(&old->m);
    town_run(t, 1000);
    assert_true(lease_is_recent(&old->m, ERRAND_STALE_MS));
    sim_isolate(&t->c.sim, old->id, true);
    suspended_ms = 60000;
    assert_true(replica_leading(old->m.replica)); /* it thinks so */
    assert_false(lease_is_recent(&old->m, ERRAND_STALE_MS));
    assert_failed(ask_as(old, PKI_ROLE_USER, "get a stale within=3000"), ERR_NO_QUORUM, "too old for a stale read");
    sim_whole(&t->c.sim);
    town_run(t, 5000);
    lease_free(old->m.lease);
    old->m.lease = NULL;
    old->m.env = running;
}

/* What a leader has of a lease when it ceases to be one is what a majority has said. */
static void test_a_leader_that_nobody_confirmed_keeps_no_lease(void **state)
{
    struct town *t = *state;
    struct place *old = leading(t);
    old->m.lease = lease_new();
    lease_tick(&old->m);
    town_run(t, 1000);
    lease_tick(&old->m);
    sim_isolate(&t->c.sim, old->id, true);
    town_run(t, 10000);
    assert_false(replica_leading(old->m.replica));
    assert_true(lease_held(&old->m)); /* it was confirmed; by ticks, this is a moment ago */
    for (unsigned i = 0; i <= LEASE_TICKS; i++) {
        lease_tick(&old->m);
    }
    assert_false(lease_held(&old->m));
    assert_int_equal(old->m.stats.leases_lost, 1);
    lease_free(old->m.lease);
    old->m.lease = NULL;
    sim_whole(&t->c.sim);
    town_run(t, 5000);
    old = leading(t);
    old->m.lease = lease_new();
    sim_isolate(&t->c.sim, old->id, true);
    lease_tick(&old->m);
    assert_true(lease_held(&old->m)); /* as long as it leads */
    town_run(t, 10000);
    assert_false(replica_leading(old->m.replica));
    assert_false(lease_held(&old->m));
    uint64_t lost = old->m.stats.leases_lost;
    lease_tick(&old->m);
    assert_int_equal(old->m.stats.leases_lost, lost + 1); /* its agents are sent away */
    lease_free(old->m.lease);
    old->m.lease = NULL;
    sim_whole(&t->c.sim);
    town_run(t, 5000);
}

/* ---- Parked ---- */

/* Nobody leads: each is alone. */
static void part(struct town *t)
{
    for (uint64_t id = 1; id <= 3; id++) {
        sim_isolate(&t->c.sim, id, true);
    }
    while (leader(&t->c) != NULL) {
        town_step(t);
    }
    town_run(t, 1000);
}

static void test_requests_wait_while_nobody_leads(void **state)
{
    struct town *t = *state;
    struct place *p = following(t);
    part(t);
    struct asked *write = ask(p, "create a within=60000"), *read = ask(p, "get a within=60000");
    town_run(t, 3000);
    assert_false(write->told.over || read->told.over);
    assert_int_equal(p->m.parked_count, 2);
    assert_true(p->m.request_bytes > 0 && p->session.request_bytes == p->m.request_bytes);
    sim_whole(&t->c.sim);
    assert_told(write, "created ConfigMap/a\n");
    await(read); /* before or behind the write: they go different ways */
    done(read);
    assert_int_equal(p->m.request_bytes, 0);
}

static void test_requests_wait_no_longer_than_they_say(void **state)
{
    struct town *t = *state;
    struct place *p = following(t);
    part(t);
    int64_t before = t->c.sim.now_ms;
    assert_failed(ask(p, "create a within=2000"), ERR_NO_QUORUM, "nothing was done");
    assert_in_range(t->c.sim.now_ms - before, 2000, 2500);
    sim_whole(&t->c.sim);
    assert_failed(ask(p, "get a"), ERR_NOT_FOUND, "not found");
}

/* Behind others of its identity, which hold all places. */
static void test_a_request_waits_for_its_place_no_longer_than_it_says(void **state)
{
    struct town *t = *state;
    struct place *p = following(t);
    struct asked *lists[64];
    assert_int_equal(turns_most(TURN_LIST), ARRAY_SIZE(lists));
    part(t);
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        lists[i] = ask(p, "list within=60000");
    }
    int64_t before = t->c.sim.now_ms;
    assert_failed(ask(p, "list within=2000"), ERR_BUSY, "its turn did not come in the time it gave");
    assert_in_range(t->c.sim.now_ms - before, 2000, 2500);
    sim_whole(&t->c.sim);
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        assert_told(lists[i], "");
    }
}

static void test_a_request_that_waits_goes_with_its_connection(void **state)
{
    struct town *t = *state;
    struct place *p = following(t);
    part(t);
    struct asked *q = ask(p, "create a within=60000");
    assert_int_equal(p->m.parked_count, 1);
    p->hung_up = true;
    p->session.request_bytes = 0; /* it goes with the session */
    errands_on_session_closed(&p->session);
    assert_int_equal(p->m.parked_count, 0);
    assert_failed(q, ERR_CLOSED, "the connection was closed");
    sim_whole(&t->c.sim);
    assert_failed(ask(leading(t), "get a"), ERR_NOT_FOUND, "not found");
}

/* What it was read for is kept; what it was made of would be held on nobody's account. */
static void test_what_is_recorded_holds_nothing_that_is_read_again(void **state)
{
    struct town *t = *state;
    struct place *p = following(t);
    char dir[] = "/tmp/reeve-lines-XXXXXX", path[64], text[4096];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/audit.log", dir);
    assert_told(ask(p, "namespace kube-system"), "created Namespace/kube-system\n");
    assert_told(ask(p, "audit"), "created ConfigMap/reeve-audit\n");
    assert_failed(ask(p, "get none"), ERR_NOT_FOUND, "not found"); /* it has heard of the policy */
    p->m.audit = audit_new(&p->m, path, 1 << 20);
    part(t);
    struct asked *q = ask(p, "create recorded within=60000");
    assert_int_equal(p->m.parked_count, 1);
    assert_non_null(q->e.audit);
    assert_int_equal(q->e.arena.total_bytes, 0);
    sim_whole(&t->c.sim);
    assert_told(q, "created ConfigMap/recorded\n");
    while (!audit_is_idle(p->m.audit)) {
        uv_run(&p->m.loop, UV_RUN_ONCE);
    }
    audit_free(TAKE_PTR(p->m.audit));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    assert_non_null(strstr(text, "\"name\":\"recorded\""));
    unlink(path);
    rmdir(dir);
}

/* ---- The leader goes away while it holds them ---- */

static void test_a_write_with_an_id_is_repeated_at_the_next_leader_and_done_once(void **state)
{
    struct town *t = *state;
    struct place *old = leading(t), *p = following(t);
    struct asked *q = ask(p, "create a id=9 within=60000");
    while (view_get(store_tip(replica_store(old->m.replica)), kind_by_id(KIND_CONFIGMAP), STR("default"), STR("a")) ==
           NULL) {
        town_step(t);
    }
    sim_pause(&t->c.sim, old->id, true); /* it has decided, and tells nobody */
    assert_told(q, "created ConfigMap/a\n");
    assert_int_not_equal(leading(t)->id, old->id);
    sim_pause(&t->c.sim, old->id, false);
    assert_told(ask(old, "create a id=9"), "created ConfigMap/a\n");
    assert_told(ask(old, "list"), "ConfigMap/a\n");
}

static void test_the_outcome_of_a_write_without_an_id_is_unknown(void **state)
{
    struct town *t = *state;
    struct place *old = leading(t), *p = following(t);
    struct asked *q = ask(p, "create a");
    sim_isolate(&t->c.sim, old->id, true);
    assert_failed(q, ERR_UNKNOWN_OUTCOME, "it may or may not have been done");
}

/* ---- Let in, and counted ---- */

static void test_who_may_not_is_told_so(void **state)
{
    struct town *t = *state;
    assert_failed(ask_as(leading(t), PKI_ROLE_NODE, "create a"), ERR_FORBIDDEN, "may not call create");
    assert_failed(ask_as(leading(t), PKI_ROLE_NONE, "get a"), ERR_UNAUTHORIZED, "get needs a client certificate");
    assert_failed(ask(leading(t), "sing a"), ERR_USAGE, "what is \"sing a\"?");
}

static void test_requests_that_wait_have_a_bound_in_bytes(void **state)
{
    struct town *t = *state;
    struct place *p = following(t);
    struct asked *waiting[2];
    p->m.held.max = 2 * 2 * 600;
    part(t);
    waiting[0] = ask(p, "create a within=60000");
    waiting[1] = ask(p, "create b within=60000");
    assert_failed(ask(p, "create c within=60000"), ERR_BUSY, "requests that wait for their answers have");
    sim_whole(&t->c.sim);
    assert_told(waiting[0], "created ConfigMap/a\n");
    assert_told(waiting[1], "created ConfigMap/b\n");
    assert_told(ask(p, "create c"), "created ConfigMap/c\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_follower_tells_of_writes_what_the_leader_tells),
        TEST(test_who_asks_is_told_as_the_leader_sees_it),
        TEST(test_a_patch_may_mean_one_object_alone),
        TEST(test_a_follower_has_reads_confirmed),
        TEST(test_a_follower_that_is_cut_off_answers_stale_reads_alone),
        TEST(test_a_watch_of_a_follower_begins_with_what_is_confirmed),
        TEST(test_a_watch_begins_where_the_newest_roles_are_known),
        TEST(test_a_leader_that_stood_still_answers_no_stale_reads),
        TEST(test_a_leader_whose_machine_was_suspended_answers_no_stale_reads),
        TEST(test_a_leader_that_nobody_confirmed_keeps_no_lease),
        TEST(test_requests_wait_while_nobody_leads),
        TEST(test_requests_wait_no_longer_than_they_say),
        TEST(test_a_request_waits_for_its_place_no_longer_than_it_says),
        TEST(test_a_request_that_waits_goes_with_its_connection),
        TEST(test_what_is_recorded_holds_nothing_that_is_read_again),
        TEST(test_a_write_with_an_id_is_repeated_at_the_next_leader_and_done_once),
        TEST(test_the_outcome_of_a_write_without_an_id_is_unknown),
        TEST(test_who_may_not_is_told_so),
        TEST(test_requests_that_wait_have_a_bound_in_bytes),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
