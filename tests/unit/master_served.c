/* Agents that are served by masters which do not lead: feeds, reports in batches, and who may be served where. */
#include "tests/unit/kit/master_kit.h"

#define MASTERS  3
#define GRACE_MS 3000

struct state {
    struct kit *kit;
    unsigned leader;
    struct client *admin[MASTERS];
};
/* An agent of paper. */
struct node {
    const char *name, *instance;
    struct client *link[MASTERS]; /* NULL: none */
    struct stream *pods, *refs, *routes, *services;
    int64_t beat_ms;
};

static void admins_open(struct state *s)
{
    for (unsigned i = 0; i < MASTERS; i++) {
        s->admin[i] = client_admin(s->kit, i);
        for (int64_t until = kit_now() + KIT_WAIT_MS; call(s->admin[i], "hello", "{}") != 0;) { /* it may just start */
            assert_true(kit_now() < until);
            client_close(s->admin[i]);
            kit_turn(s->kit, 50);
            s->admin[i] = client_admin(s->kit, i);
        }
    }
}

static int set_up(void **state)
{
    struct state *s = xcalloc(1, sizeof *s);
    static const char *const args[] = {
        "--election-timeout", "1000", "--raft-heartbeat", "100", "--node-grace", "3", "--heartbeat", "1", NULL};
    s->kit = kit_three(args);
    s->leader = kit_leader(s->kit);
    admins_open(s);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct state *s = *state;
    kit_free(s->kit);
    free(s);
    return 0;
}

static int thaw(void **state)
{
    struct state *s = *state;
    kit_thaw_all(s->kit);
    return 0;
}

static void link_open(struct state *s, struct node *n, unsigned i)
{
    n->link[i] = client_as(s->kit, i, PKI_ROLE_NODE, n->name);
}

static void links_open(struct state *s, struct node *n)
{
    for (unsigned i = 0; i < MASTERS; i++) {
        link_open(s, n, i);
    }
}

static bool hello(struct node *n, unsigned i)
{
    must(n->link[i], "hello", "{name: %s, instance: %s}", n->name, n->instance);
    return value_to_bool(value_get(n->link[i]->result, "serves"), false);
}

static void wait_serves(struct state *s, struct node *n, unsigned i, bool wanted)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; hello(n, i) != wanted; kit_turn(s->kit, 50)) {
        assert_true(kit_now() < until);
    }
}

#define NODE "{apiVersion: v1, kind: Node, metadata: {name: %s}, status: {conditions: [{type: Ready, status: 'True'}]}}"

static int node_register(struct node *n, unsigned i)
{
    return call(n->link[i], "node.register", "{instance: %s, anyMaster: true, node: " NODE "}", n->instance, n->name);
}

static void wait_registered(struct state *s, struct node *n, unsigned i)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; node_register(n, i) != 0; kit_turn(s->kit, 50)) {
        assert_int_not_equal(n->link[i]->err.code, ERR_FORBIDDEN);
        assert_true(kit_now() < until);
    }
}

static void feeds_open(struct node *n, unsigned i)
{
    n->pods = stream_open(n->link[i], "node.pods", "{name: %s, ownStatus: false}", n->name);
    n->refs = stream_open(n->link[i], "node.refs", "{name: %s}", n->name);
    n->routes = stream_open(n->link[i], "node.routes", "{name: %s, changes: true}", n->name);
    n->services = stream_open(n->link[i], "node.services", "{name: %s}", n->name);
}

static void feeds_close(struct node *n)
{
    struct stream **const all[] = {&n->pods, &n->refs, &n->routes, &n->services};
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        if (*all[i] != NULL) {
            stream_close(TAKE_PTR(*all[i]));
        }
    }
}

static void node_close(struct node *n)
{
    feeds_close(n);
    for (unsigned i = 0; i < MASTERS; i++) {
        if (n->link[i] != NULL) {
            client_close(TAKE_PTR(n->link[i]));
        }
    }
}

/* Registered over a follower, which serves it. */
static unsigned node_open(struct state *s, struct node *n)
{
    s->leader = kit_leader(s->kit);
    unsigned by = (s->leader + 1) % MASTERS;
    links_open(s, n);
    wait_serves(s, n, by, true);
    wait_registered(s, n, by);
    feeds_open(n, by);
    return by;
}

static void beat(struct node *n)
{
    for (unsigned i = 0; i < MASTERS && kit_now() - n->beat_ms >= 200; i++) {
        if (n->link[i] != NULL && n->link[i]->rpc != NULL) {
            CLEANUP_BUF struct buf b = BUF_INIT;
            mp_write_map(&b, 1);
            mp_write_key_str(&b, "name", str_of(n->name));
            rpc_notify(n->link[i]->rpc, "node.heartbeat", buf_str(&b));
        }
        n->beat_ms = i == MASTERS - 1 ? kit_now() : n->beat_ms;
    }
}

static const char *make_pod(struct state *s, const char *name, const char *node)
{
    must(s->admin[s->leader], "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {nodeName: %s, containers: [{name: c, "
         "image: i}]}}}",
         name, node);
    must(s->admin[s->leader], "get", "{kind: Pod, name: %s}", name);
    return text_at(s->admin[s->leader], "object.metadata.uid");
}

/* Reads the stream of pods until an event of this type comes for the pod. */
static const struct value *wait_pod(struct node *n, const char *type, const char *name)
{
    for (;;) {
        struct value *v = stream_next(n->pods);
        if (v == NULL) {
            fail_msg("%s of pod %s does not come: %s", type, name, n->pods->end.message);
        }
        const struct value *events = value_get(v, "events");
        VALUE_FOR(i, events)
        {
            const struct value *e = value_item(events, i);
            if (str_is(value_path_str(e, "type"), type) && str_is(value_path_str(e, "object.metadata.name"), name)) {
                return e;
            }
        }
    }
}

static int report(struct node *n, unsigned by, const char *pod, const char *uid, const char *phase)
{
    return call(n->link[by], "node.status",
                "{name: %s, pods: [{namespace: default, name: %s, uid: '%s', status: {phase: %s}}]}", n->name, pod, uid,
                phase);
}

static const char *phase_at(struct state *s, unsigned master, const char *pod)
{
    must(s->admin[master], "get", "{kind: Pod, name: %s}", pod);
    return text_at(s->admin[master], "object.status.phase");
}

static int64_t counter(struct state *s, unsigned master, const char *name)
{
    char path[80];
    must(s->admin[master], "cluster", "{}");
    snprintf(path, sizeof path, "stats.%s", name);
    return int_at(s->admin[master], path);
}

/* The answer may get lost with the former leader's office. */
static void transfer(struct state *s, unsigned to)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; s->leader != to; s->leader = kit_leader(s->kit)) {
        assert_true(kit_now() < until);
        call(s->admin[to], "master.transfer", "{id: %u}", to + 1);
    }
}

static void delete_pod(struct state *s, const char *name)
{
    must(s->admin[kit_leader(s->kit)], "delete", "{kind: Pod, name: %s, gracePeriodSeconds: 0}", name);
}

/* ---- The whole way ---- */

static void test_a_follower_serves_an_agent(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "n1", .instance = "a1-1-1"};
    unsigned by = node_open(s, &n);
    must(s->admin[s->leader], "get", "{kind: Node, name: n1}");
    char id[8];
    snprintf(id, sizeof id, "%u", by + 1);
    const struct value *notes = value_path(s->admin[s->leader]->result, "object.metadata.annotations");
    assert_true(str_is(value_to_str(value_get(notes, "reeve.io/served-by")), id));
    assert_non_null(stream_next(n.routes));
    assert_non_null(stream_next(n.services));
    const char *uid = make_pod(s, "p", "n1");
    wait_pod(&n, "ADDED", "p");
    assert_int_equal(report(&n, by, "p", uid, "Running"), 0);
    assert_true(int_at(n.link[by], "revision") > 0);
    assert_true(stream_quiet(n.pods, 300)); /* what it said itself it is not told, as on the leader */
    /* What was acknowledged is there, on the leader and where it was told. */
    assert_string_equal(phase_at(s, s->leader, "p"), "Running");
    must(s->admin[by], "get", "{kind: Pod, name: p, stale: true}");
    assert_string_equal(text_at(s->admin[by], "object.status.phase"), "Running");
    must(n.link[by], "node.events",
         "{name: n1, events: [{apiVersion: v1, kind: Event, metadata: {name: e1, namespace: default}, involvedObject: "
         "{kind: Pod, namespace: default, name: p, uid: '%s'}, reason: Started, message: m, type: Normal, source: "
         "{component: reeve-agent, host: n1}}]}",
         uid);
    must(s->admin[s->leader], "list", "{kind: Event, namespace: default}");
    assert_true(counter(s, by, "reportsSent") >= 2);
    assert_true(counter(s, s->leader, "reportsTaken") >= 2);
    assert_int_equal(counter(s, by, "agentsServed"), 1);
    delete_pod(s, "p");
    wait_pod(&n, "DELETED", "p");
    node_close(&n);
}

static void test_feeds_of_a_follower_go_on_over_changes_of_leader(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "n2", .instance = "a2-1-1"};
    unsigned by = node_open(s, &n);
    const char *uid = make_pod(s, "q", "n2");
    wait_pod(&n, "ADDED", "q");
    unsigned other = 3 - by - s->leader;
    for (unsigned round = 0; round < 2; round++) {
        transfer(s, round == 0 ? other : (by + 1) % MASTERS == other ? (by + 2) % MASTERS : (by + 1) % MASTERS);
        for (int64_t until = kit_now() + KIT_WAIT_MS; report(&n, by, "q", uid, round == 0 ? "Running" : "Pending") != 0;
             kit_turn(s->kit, 20)) {
            beat(&n);
            assert_true(kit_now() < until);
        }
        assert_string_equal(phase_at(s, s->leader, "q"), round == 0 ? "Running" : "Pending");
    }
    must(s->admin[s->leader], "patch", "{kind: Pod, name: q, type: merge, patch: {metadata: {labels: {x: one}}}}");
    wait_pod(&n, "MODIFIED", "q");
    assert_false(n.pods->ended || n.refs->ended || n.routes->ended || n.services->ended);
    delete_pod(s, "q");
    node_close(&n);
}

static void test_a_follower_that_becomes_leader_serves_its_agents_on(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "n3", .instance = "a3-1-1"};
    unsigned by = node_open(s, &n);
    const char *uid = make_pod(s, "r", "n3");
    wait_pod(&n, "ADDED", "r");
    transfer(s, by);
    assert_int_equal(report(&n, by, "r", uid, "Running"), 0);
    must(s->admin[s->leader], "patch", "{kind: Pod, name: r, type: merge, patch: {metadata: {labels: {x: one}}}}");
    wait_pod(&n, "MODIFIED", "r");
    delete_pod(s, "r");
    node_close(&n);
}

/* ---- What is used ---- */

static int tell_usage(struct node *n, unsigned by, const char *uid, int64_t milli)
{
    return call(n->link[by], "node.usage",
                "{name: %s, at: 1767225600000, window: 1000, cpu: 5000000, memory: 4096, services: 7, pods: "
                "[['%s', [[c, %lld, 1048576]]]]}",
                n->name, uid, (long long)milli * 1000000);
}

static const char *cpu_of(struct state *s, unsigned by, const char *pod)
{
    must(s->admin[by], "metrics", "{kind: Pod, name: %s}", pod);
    const struct value *item = value_item(value_path(s->admin[by]->result, "items"), 0);
    struct str cpu = value_path_str(value_item(value_path(item, "containers"), 0), "usage.cpu");
    return item == NULL ? "unknown" : arena_printf(&s->kit->arena, "%.*s", STR_ARG(cpu));
}

/* Told to a follower, known to the leader alone, answered by any; and by the next leader when it is told again. */
static void test_what_is_used_comes_over_a_follower(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "used", .instance = "ab-1-1"}, other = {.name = "other", .instance = "ac-1-1"};
    unsigned by = node_open(s, &n);
    node_open(s, &other);
    const char *uid = make_pod(s, "u", "used");
    assert_string_equal(cpu_of(s, by, "u"), "unknown");
    assert_int_equal(tell_usage(&n, by, uid, 250), 0);
    for (unsigned i = 0; i < MASTERS; i++) {
        assert_string_equal(cpu_of(s, i, "u"), "250000000n");
    }
    must(s->admin[by], "metrics", "{kind: Node, name: used}");
    const struct value *item = value_item(value_path(s->admin[by]->result, "items"), 0);
    assert_true(str_is(value_path_str(item, "usage.memory"), "4Ki"));
    /* Another node says something of this pod: it is not the one that the pod is bound to. */
    assert_int_equal(tell_usage(&other, by, uid, 9), 0);
    assert_string_equal(cpu_of(s, by, "u"), "250000000n");
    refused(n.link[by], ERR_FORBIDDEN, "may not speak for node \"other\"", "node.usage", "{name: other, pods: []}");
    refused(n.link[by], ERR_USAGE, "at must be a number", "node.usage", "{name: used, pods: []}");
    refused(n.link[by], ERR_USAGE, "pod 0 is not", "node.usage",
            "{name: used, at: 1, window: 1, cpu: 1, memory: 1, pods: [[x, [[c, -1, 1]]]]}");
    refused(s->admin[by], ERR_USAGE, "kind must be Pod or Node", "metrics", "{kind: Deployment}");
    refused(s->admin[by], ERR_NOT_FOUND, "pods \"none\" not found", "metrics", "{kind: Pod, name: none}");
    transfer(s, (by + 1) % MASTERS == s->leader ? (by + 2) % MASTERS : (by + 1) % MASTERS);
    assert_string_equal(cpu_of(s, by, "u"), "unknown");
    for (int64_t until = kit_now() + KIT_WAIT_MS; tell_usage(&n, by, uid, 300) != 0; kit_turn(s->kit, 20)) {
        assert_true(kit_now() < until);
    }
    assert_string_equal(cpu_of(s, by, "u"), "300000000n");
    delete_pod(s, "u");
    node_close(&other);
    node_close(&n);
}

/* ---- Who is served where ---- */

static void test_an_agent_that_knows_of_the_leader_alone_is_served_by_it(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "old", .instance = "a4-1-1"};
    links_open(s, &n);
    s->leader = kit_leader(s->kit);
    unsigned by = (s->leader + 1) % MASTERS;
    must(n.link[s->leader], "node.register", "{instance: %s, node: " NODE "}", n.instance, n.name);
    must(s->admin[s->leader], "get", "{kind: Node, name: old}");
    assert_null(
        value_get(value_path(s->admin[s->leader]->result, "object.metadata.annotations"), "reeve.io/served-by"));
    must(s->admin[by], "get", "{kind: Node, name: old}");
    hello(&n, by);
    struct stream *st = stream_open(n.link[by], "node.pods", "{name: old}");
    stream_wait_end(st);
    assert_int_equal(st->end.code, ERR_NOT_LEADER);
    stream_close(st);
    refused(n.link[by], ERR_NOT_LEADER, "not registered over this master", "node.status", "{name: old, pods: []}");
    node_close(&n);
}

static void test_where_an_agent_has_left_nothing_is_taken_from_it(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "n5", .instance = "a5-1-1"};
    unsigned by = node_open(s, &n), next = 3 - by - s->leader;
    const char *uid = make_pod(s, "t", "n5");
    wait_pod(&n, "ADDED", "t");
    wait_serves(s, &n, next, true);
    wait_registered(s, &n, next);
    struct stream *const feeds[] = {n.pods, n.refs, n.routes, n.services};
    for (unsigned i = 0; i < ARRAY_SIZE(feeds); i++) { /* the former master lets go of it by itself */
        stream_wait_end(feeds[i]);
        assert_int_equal(feeds[i]->end.code, ERR_NOT_LEADER);
    }
    assert_int_equal(report(&n, by, "t", uid, "Failed"), ERR_NOT_LEADER);
    assert_int_equal(report(&n, s->leader, "t", uid, "Failed"), ERR_NOT_LEADER); /* nor the leader, whom it left */
    assert_int_equal(report(&n, next, "t", uid, "Running"), 0);
    assert_string_equal(phase_at(s, s->leader, "t"), "Running");
    feeds_close(&n);
    feeds_open(&n, next);
    wait_pod(&n, "ADDED", "t");
    delete_pod(s, "t");
    node_close(&n);
}

static void test_of_two_agents_of_one_name_one_is_served_whatever_the_masters(void **state)
{
    struct state *s = *state;
    struct node first = {.name = "twin", .instance = "b1-7-1"}, second = {.name = "twin", .instance = "b2-1-2"};
    unsigned by = node_open(s, &first), next = 3 - by - s->leader;
    beat(&first);
    links_open(s, &second);
    wait_serves(s, &second, next, true);
    assert_int_equal(node_register(&second, next), ERR_EXISTS);
    struct stream *st = stream_open(second.link[next], "node.pods", "{name: twin}");
    stream_wait_end(st);
    assert_int_equal(st->end.code, ERR_NOT_LEADER);
    stream_close(st);
    assert_false(first.pods->ended);
    beat(&first);
    /* The first one started again, over another master: the former process loses its place at its own. */
    struct node again = {.name = "twin", .instance = "b1-8-3"};
    links_open(s, &again);
    wait_registered(s, &again, next);
    feeds_open(&again, next);
    stream_wait_end(first.pods);
    for (int64_t until = kit_now() + KIT_WAIT_MS; first.link[by]->rpc != NULL; kit_turn(s->kit, 20)) {
        assert_true(kit_now() < until);
    }
    make_pod(s, "u", "twin");
    wait_pod(&again, "ADDED", "u");
    delete_pod(s, "u");
    node_close(&first);
    node_close(&second);
    node_close(&again);
}

static void test_a_deleted_node_is_cut_off_at_the_master_that_serves_it(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "n6", .instance = "a6-1-1"};
    unsigned by = node_open(s, &n);
    assert_non_null(stream_next(n.routes));
    must(s->admin[s->leader], "delete", "{kind: Node, name: n6}");
    stream_wait_end(n.pods);
    for (int64_t until = kit_now() + KIT_WAIT_MS; n.link[by]->rpc != NULL; kit_turn(s->kit, 20)) {
        assert_true(kit_now() < until);
    }
    node_close(&n);
    struct node back = {.name = "n6", .instance = "a6-2-2"};
    link_open(s, &back, by);
    assert_int_not_equal(node_register(&back, by), 0);
    node_close(&back);
}

static void test_a_node_speaks_for_itself_alone_on_every_master(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "n7", .instance = "a7-1-1"}, other = {.name = "n8", .instance = "a8-1-1"};
    unsigned by = node_open(s, &n);
    node_open(s, &other);
    const char *uid = make_pod(s, "mine", "n7");
    refused(n.link[by], ERR_FORBIDDEN, "may not speak for node \"n8\"", "node.status", "{name: n8, pods: []}");
    refused(n.link[by], ERR_FORBIDDEN, "may not register as \"n8\"", "node.register",
            "{instance: a7-1-1, anyMaster: true, node: " NODE "}", "n8");
    /* Of a pod that is another's: refused, and told to the one who said it, beside those who did well. */
    assert_int_equal(report(&other, by, "mine", uid, "Failed"), 0);
    const struct value *results = value_get(other.link[by]->result, "results");
    assert_true(str_is(value_path_str(value_item(results, 0), "reason"), "Forbidden"));
    assert_int_equal(report(&n, by, "mine", uid, "Running"), 0);
    assert_string_equal(phase_at(s, s->leader, "mine"), "Running");
    delete_pod(s, "mine");
    node_close(&n);
    node_close(&other);
}

/* ---- Batches ---- */

#define CROWD 24

static void count_answer(const struct rpc_result *r, void *data)
{
    unsigned *counts = data; /* taken, refused */
    counts[r->error != NULL]++;
}

static void test_reports_of_many_nodes_travel_together(void **state)
{
    struct state *s = *state;
    struct node nodes[CROWD] = {0};
    char names[CROWD][16], instances[CROWD][16];
    unsigned by = 0, counts[2] = {0};
    for (unsigned i = 0; i < CROWD; i++) {
        snprintf(names[i], sizeof names[i], "crowd%u", i);
        snprintf(instances[i], sizeof instances[i], "c%u-1-1", i);
        nodes[i] = (struct node){.name = names[i], .instance = instances[i]};
        by = node_open(s, &nodes[i]);
    }
    int64_t batches = counter(s, by, "batchesSent"), reports = counter(s, by, "reportsSent");
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < CROWD; i++) {
            CLEANUP_BUF struct buf b = BUF_INIT;
            bool bad = i % 4 == 3; /* its own name, but no report */
            mp_write_map(&b, 2);
            mp_write_key_str(&b, "name", str_of(names[i]));
            mp_write_cstr(&b, bad ? "node" : "pods");
            if (bad) {
                mp_write_map(&b, 1);
                mp_write_key_str(&b, "conditions", STR("no list"));
            } else {
                mp_write_array(&b, 0);
            }
            rpc_call(nodes[i].link[by]->rpc, "node.status", buf_str(&b), 0, count_answer, counts);
        }
        for (int64_t until = kit_now() + KIT_WAIT_MS; counts[0] + counts[1] < (round + 1) * CROWD;) {
            assert_true(kit_now() < until);
            kit_turn(s->kit, 20);
        }
    }
    assert_int_equal(counts[0], 4 * CROWD * 3 / 4);
    assert_int_equal(counts[1], 4 * CROWD / 4);
    batches = counter(s, by, "batchesSent") - batches;
    reports = counter(s, by, "reportsSent") - reports;
    assert_int_equal(reports, 4 * CROWD);
    print_message("%lld reports in %lld batches\n", (long long)reports, (long long)batches);
    assert_true(batches < reports / 2);
    for (unsigned i = 0; i < CROWD; i++) {
        node_close(&nodes[i]);
    }
}

/* ---- Another release ---- */

static void test_a_leader_of_a_former_release_serves_all_agents_itself(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "nb", .instance = "ac-1-1"};
    s->leader = kit_leader(s->kit);
    unsigned old = (s->leader + 2) % MASTERS;
    kit_stop(s->kit, old, SIGTERM);
    kit_start_armed(s->kit, old, "lease_unknown=error@1+"); /* it knows no such question */
    kit_wait_voters(s->kit, s->leader, MASTERS);
    for (unsigned i = 0; i < MASTERS; i++) {
        client_close(s->admin[i]);
    }
    admins_open(s);
    unsigned by = (old + 1) % MASTERS, other = (old + 2) % MASTERS;
    s->leader = kit_leader(s->kit);
    transfer(s, other);
    links_open(s, &n);
    wait_serves(s, &n, by, true);
    wait_registered(s, &n, by);
    feeds_open(&n, by);
    transfer(s, old);
    stream_wait_end(n.pods);
    assert_int_equal(n.pods->end.code, ERR_NOT_LEADER);
    wait_serves(s, &n, by, false);
    wait_registered(s, &n, old);
    transfer(s, other);
    wait_serves(s, &n, by, true);
    feeds_close(&n);
    wait_registered(s, &n, by);
    feeds_open(&n, by);
    make_pod(s, "v", "nb");
    wait_pod(&n, "ADDED", "v");
    delete_pod(s, "v");
    node_close(&n);
    kit_stop(s->kit, old, SIGTERM);
    kit_start(s->kit, old);
    for (unsigned i = 0; i < MASTERS; i++) {
        client_close(s->admin[i]);
    }
    admins_open(s);
}

/* ---- Silence ---- */

static void on_notify(struct client *c, struct str method, struct mp params)
{
    int64_t *unserved = c->data;
    *unserved = str_is(method, "node.unserved") ? mp_int(mp_get(params, "master"), 0) : *unserved;
}

static void test_the_leader_tells_agents_of_a_master_that_stands_still(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "na", .instance = "ab-1-1"};
    unsigned by = node_open(s, &n), other = 3 - by - s->leader;
    int64_t unserved = 0;
    n.link[s->leader]->data = &unserved;
    n.link[s->leader]->on_notify = on_notify;
    must(n.link[s->leader], "hello", "{name: %s, instance: %s}", n.name, n.instance);
    kit_freeze(s->kit, by);
    for (int64_t until = kit_now() + KIT_WAIT_MS; unserved == 0; kit_turn(s->kit, 50)) {
        assert_true(kit_now() < until);
    }
    assert_int_equal(unserved, by + 1);
    wait_registered(s, &n, other);
    kit_thaw_all(s->kit);
    stream_wait_end(n.pods); /* it learns by itself who serves its node now, or that it is behind */
    node_close(&n);
}

static void test_a_follower_that_does_not_keep_up_lets_its_agents_go(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "n9", .instance = "a9-1-1"};
    unsigned by = node_open(s, &n);
    for (unsigned i = 0; i < MASTERS; i++) {
        if (i != by) {
            kit_freeze(s->kit, i);
        }
    }
    struct stream *const feeds[] = {n.pods, n.refs, n.routes, n.services};
    for (unsigned i = 0; i < ARRAY_SIZE(feeds); i++) {
        stream_wait_end(feeds[i]);
        assert_int_equal(feeds[i]->end.code, ERR_NOT_LEADER);
    }
    assert_false(hello(&n, by));
    kit_thaw_all(s->kit);
    s->leader = kit_leader(s->kit);
    wait_serves(s, &n, by, true);
    feeds_close(&n);
    wait_registered(s, &n, by);
    feeds_open(&n, by);
    assert_non_null(stream_next(n.routes));
    assert_true(counter(s, by, "leasesLost") >= 1);
    node_close(&n);
}

static void test_a_node_that_only_a_follower_hears_lives(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "far", .instance = "aa-1-1"};
    unsigned by = node_open(s, &n);
    for (unsigned i = 0; i < MASTERS; i++) {
        if (i != by) {
            client_close(TAKE_PTR(n.link[i]));
        }
    }
    for (int64_t until = kit_now() + 3 * GRACE_MS; kit_now() < until; kit_turn(s->kit, 50)) {
        beat(&n);
        must(s->admin[s->leader], "get", "{kind: Node, name: far}");
        const struct value *c = value_item(value_path(s->admin[s->leader]->result, "object.status.conditions"), 0);
        assert_true(str_is(value_path_str(c, "status"), "True"));
    }
    node_close(&n);
}

/* Told by each of heartbeats that it has heard itself; nobody writes anything for it. */
static void test_every_master_tells_the_leases_of_nodes(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "leased", .instance = "ab-1-1"};
    unsigned by = node_open(s, &n);
    must(s->admin[s->leader], "get", "{kind: Namespace, name: kube-node-lease}");
    for (unsigned i = 0; i < MASTERS; i++) {
        char first[64] = "";
        (void)hello(&n, i);
        for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(s->kit, 50)) {
            beat(&n);
            must(s->admin[i], "get", "{kind: Lease, namespace: kube-node-lease, name: leased}");
            const char *renewed = text_at(s->admin[i], "object.spec.renewTime");
            assert_string_equal(text_at(s->admin[i], "object.spec.holderIdentity"), "leased");
            if (first[0] == '\0') {
                snprintf(first, sizeof first, "%s", renewed);
            } else if (strcmp(renewed, first) > 0) {
                break;
            }
            assert_true(kit_now() < until);
        }
        assert_int_equal(call(s->admin[i], "delete", "{kind: Lease, namespace: kube-node-lease, name: leased}"),
                         ERR_FORBIDDEN);
        assert_int_equal(call(s->admin[i], "create",
                              "{object: {apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: x, "
                              "namespace: kube-node-lease}}}"),
                         ERR_FORBIDDEN);
    }
    assert_int_equal(call(n.link[by], "get", "{kind: Lease, namespace: kube-node-lease, name: leased}"), ERR_FORBIDDEN);
    node_close(&n);
    must(s->admin[s->leader], "delete", "{kind: Node, name: leased}");
    assert_int_equal(call(s->admin[by], "get", "{kind: Lease, namespace: kube-node-lease, name: leased}"),
                     ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_follower_serves_an_agent),
        cmocka_unit_test(test_feeds_of_a_follower_go_on_over_changes_of_leader),
        cmocka_unit_test(test_a_follower_that_becomes_leader_serves_its_agents_on),
        cmocka_unit_test(test_what_is_used_comes_over_a_follower),
        cmocka_unit_test(test_an_agent_that_knows_of_the_leader_alone_is_served_by_it),
        cmocka_unit_test(test_where_an_agent_has_left_nothing_is_taken_from_it),
        cmocka_unit_test(test_of_two_agents_of_one_name_one_is_served_whatever_the_masters),
        cmocka_unit_test(test_a_deleted_node_is_cut_off_at_the_master_that_serves_it),
        cmocka_unit_test(test_a_node_speaks_for_itself_alone_on_every_master),
        cmocka_unit_test(test_reports_of_many_nodes_travel_together),
        cmocka_unit_test(test_a_leader_of_a_former_release_serves_all_agents_itself),
        cmocka_unit_test_teardown(test_a_follower_that_does_not_keep_up_lets_its_agents_go, thaw),
        cmocka_unit_test_teardown(test_the_leader_tells_agents_of_a_master_that_stands_still, thaw),
        cmocka_unit_test(test_a_node_that_only_a_follower_hears_lives),
        cmocka_unit_test(test_every_master_tells_the_leases_of_nodes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
