/* Links of an agent to every master: streams and heartbeats over them while leaders change, and two agents with one
 * name. */
#include "tests/unit/kit/master_kit.h"

#define MASTERS  3
#define GRACE_MS 3000

struct state {
    struct kit *kit;
    unsigned leader;
    struct client *admin[MASTERS];
};
/* An agent: a link to each master, over which it answers and beats. */
struct node {
    const char *name, *instance;
    struct client *link[MASTERS]; /* NULL: none */
    unsigned asked[MASTERS];      /* streams and calls that came over this link */
    struct rpc_request *request;  /* the last of them */
    bool got;
    int refuse;              /* code for what is asked; 0 = keep it in `request` */
    unsigned leads[MASTERS]; /* node.lead heard */
    int64_t beat_ms;
};

static void on_request(struct client *a, struct rpc_request *r, struct str method, struct mp params)
{
    struct node *n = a->data;
    (void)method, (void)params;
    for (unsigned i = 0; i < MASTERS; i++) {
        n->asked[i] += n->link[i] == a;
    }
    if (n->refuse != 0) {
        struct error err = {0};
        error_set(&err, n->refuse, "the node says no");
        rpc_reply_error(r, &err);
        return;
    }
    n->request = r;
    n->got = true;
}

static void on_notify(struct client *a, struct str method, struct mp params)
{
    struct node *n = a->data;
    for (unsigned i = 0; i < MASTERS; i++) {
        n->leads[i] += n->link[i] == a && str_is(method, "node.lead") && mp_int(mp_get(params, "term"), 0) > 0;
    }
}

static struct client *link_open(struct state *s, struct node *n, unsigned i)
{
    n->link[i] = client_as(s->kit, i, PKI_ROLE_NODE, n->name);
    n->link[i]->data = n;
    n->link[i]->on_request = on_request;
    n->link[i]->on_notify = on_notify;
    return n->link[i];
}

#define NODE "{apiVersion: v1, kind: Node, metadata: {name: %s}, status: {conditions: [{type: Ready, status: 'True'}]}}"

static int node_register(struct node *n, unsigned i)
{
    return call(n->link[i], "node.register", "{instance: %s, node: " NODE "}", n->instance, n->name);
}

/* All that the node is alive for: registered with the leader, its links known to the other masters. */
static void node_open(struct state *s, struct node *n)
{
    for (unsigned i = 0; i < MASTERS; i++) {
        link_open(s, n, i);
    }
    assert_int_equal(node_register(n, s->leader), 0);
    struct client *c = s->admin[s->leader];
    for (unsigned i = 0; i < MASTERS; i++) {
        must(s->admin[i], "get", "{kind: Node, name: %s}", n->name); /* applied there */
        must(n->link[i], "hello", "{name: %s, instance: %s}", n->name, n->instance);
    }
    (void)c;
}

static void node_close(struct node *n)
{
    for (unsigned i = 0; i < MASTERS; i++) {
        if (n->link[i] != NULL) {
            client_close(TAKE_PTR(n->link[i]));
        }
    }
}

static void beat(struct node *n)
{
    for (unsigned i = 0; i < MASTERS && kit_now() - n->beat_ms >= 200; i++) {
        if (n->link[i] != NULL && n->link[i]->rpc != NULL) {
            struct buf b = BUF_INIT;
            mp_write_map(&b, 1);
            mp_write_key_str(&b, "name", str_of(n->name));
            rpc_notify(n->link[i]->rpc, "node.heartbeat", buf_str(&b));
            buf_close(&b);
        }
        n->beat_ms = i == MASTERS - 1 ? kit_now() : n->beat_ms;
    }
}

static void admins_open(struct state *s)
{
    for (unsigned i = 0; i < MASTERS; i++) {
        if (s->admin[i] != NULL) {
            client_close(s->admin[i]);
        }
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
    kit_thaw_all(((struct state *)*state)->kit);
    return 0;
}

static void make_pod(struct state *s, const char *name, const char *node)
{
    must(
        s->admin[s->leader], "create",
        "{object: {apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {nodeName: %s, containers: [{name: c, image: "
        "i}]}}}",
        name, node);
    for (unsigned i = 0; i < MASTERS; i++) {
        must(s->admin[i], "get", "{kind: Pod, name: %s}", name);
    }
}

struct pair {
    struct stream *client, *agent;
    unsigned sent, got;
};

static struct pair pair_open(struct state *s, struct node *n, unsigned by, const char *method, const char *params)
{
    struct pair p = {0};
    n->got = false;
    p.client = stream_open(s->admin[by], method, "%s", params);
    kit_until(s->kit, &n->got, "a request at the agent");
    const struct rpc_session *by_whom = rpc_request_session(n->request); /* who accepts it takes the request */
    for (unsigned i = 0; i < MASTERS; i++) {
        if (n->link[i] != NULL && by_whom == n->link[i]->rpc) {
            p.agent = stream_accept(n->link[i], n->request);
        }
    }
    kit_until(s->kit, &p.client->open, "the answer to the client");
    return p;
}

static void pair_close(struct pair *p)
{
    stream_close(p->client);
    stream_close(p->agent);
}

/* Lines from the node to the client: all of them, in order. */
static void pass_lines(struct pair *p, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(stream_send(p->agent, "'line %u'", p->sent++), 0);
    }
    while (p->got < p->sent) {
        char want[32];
        struct value *v = stream_next(p->client);
        if (v == NULL) {
            fail_msg("line %u does not come: the stream ended: %s", p->got, p->client->end.message);
        }
        snprintf(want, sizeof want, "line %u", p->got++);
        assert_true(str_is(value_to_str(v), want));
    }
}

static unsigned other_than(unsigned a, unsigned b)
{
    return a != b ? 3 - a - b : (a + 1) % MASTERS;
}

#define LOGS "{namespace: default, name: p, container: c, follow: true}"
#define EXEC "{namespace: default, name: p, command: [sh], stdin: true, stdout: true, stderr: true, tty: false}"

/* The answer may get lost with the former leader's office. */
static void transfer(struct state *s, unsigned to)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; s->leader != to; s->leader = kit_leader(s->kit)) {
        assert_true(kit_now() < until);
        call(s->admin[to], "master.transfer", "{id: %u}", to + 1);
    }
}

static void wait_log(struct state *s, unsigned master, const char *text, unsigned times)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(s->kit, 50)) {
        CLEANUP_FREE char *log = kit_log(s->kit, master);
        unsigned seen = 0;
        for (const char *at = log; (at = strstr(at, text)) != NULL; at++) {
            seen++;
        }
        if (seen >= times) {
            return;
        }
        assert_true(kit_now() < until);
    }
}

/* ---- Streams ---- */

static void test_a_master_serves_streams_over_its_own_link(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "n1", .instance = "a1-1-1"};
    node_open(s, &n);
    make_pod(s, "p", "n1");
    static const struct {
        const char *method, *params;
    } calls[] = {{"logs", LOGS},
                 {"exec", EXEC},
                 {"portforward", "{namespace: default, name: p, port: 80}"},
                 {"imageload", "{node: n1}"},
                 {"imagepull", "{node: n1, name: x}"}};
    for (unsigned by = 0; by < MASTERS; by++) {
        for (unsigned k = 0; k < ARRAY_SIZE(calls); k++) {
            struct pair p = pair_open(s, &n, by, calls[k].method, calls[k].params);
            assert_int_equal(n.asked[by], k + 1);
            pass_lines(&p, 20);
            pair_close(&p);
        }
    }
    /* Where a link is missing the leader's is used. */
    unsigned follower = (s->leader + 1) % MASTERS;
    client_close(TAKE_PTR(n.link[follower]));
    wait_log(s, follower, "connection of node n1 is gone", 1);
    unsigned before = n.asked[s->leader];
    struct pair p = pair_open(s, &n, follower, "logs", LOGS);
    pass_lines(&p, 20);
    pair_close(&p);
    assert_int_equal(n.asked[s->leader], before + 1);
    /* A node that does not know the pod: the follower's state may be old, so the leader decides. */
    link_open(s, &n, follower);
    must(n.link[follower], "hello", "{name: n1, instance: %s}", n.instance);
    n.refuse = ERR_NOT_FOUND;
    before = n.asked[s->leader];
    unsigned here = n.asked[follower];
    struct stream *c = stream_open(s->admin[follower], "logs", LOGS);
    stream_wait_end(c);
    assert_int_equal(c->end.code, ERR_NOT_FOUND);
    assert_int_equal(n.asked[follower], here + 1);
    assert_int_equal(n.asked[s->leader], before + 1);
    stream_close(c);
    node_close(&n);
    must(s->admin[s->leader], "delete", "{kind: Pod, name: p, gracePeriodSeconds: 0}");
}

static void test_streams_go_on_over_changes_of_leader(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "n1", .instance = "a1-2-2"};
    node_open(s, &n);
    make_pod(s, "p", "n1");
    struct pair p[2 * MASTERS];
    for (unsigned i = 0; i < 2 * MASTERS; i++) {
        p[i] = pair_open(s, &n, i / 2, i % 2 == 0 ? "logs" : "exec", i % 2 == 0 ? LOGS : EXEC);
        pass_lines(&p[i], 10);
    }
    for (unsigned round = 0; round < 3; round++) {
        unsigned heard[MASTERS];
        memcpy(heard, n.leads, sizeof heard);
        transfer(s, (s->leader + 1) % MASTERS);
        for (unsigned i = 0; i < 2 * MASTERS; i++) {
            pass_lines(&p[i], 10);
            assert_int_equal(stream_send(p[i].client, "'input'"), 0); /* and back */
            assert_non_null(stream_next(p[i].agent));
        }
        for (int64_t until = kit_now() + KIT_WAIT_MS; n.leads[s->leader] == heard[s->leader]; kit_turn(s->kit, 20)) {
            assert_true(kit_now() < until); /* the agent is called by the new one */
        }
        assert_int_equal(node_register(&n, s->leader), 0);
    }
    unsigned dead = s->leader;
    client_close(TAKE_PTR(s->admin[dead]));
    kit_stop(s->kit, dead, SIGKILL);
    for (unsigned i = 0; i < 2 * MASTERS; i++) { /* at once, before there is another leader */
        if (i / 2 == dead) {
            stream_wait_end(p[i].client);
            assert_int_equal(p[i].client->end.code, ERR_CLOSED);
        } else {
            pass_lines(&p[i], 10);
        }
    }
    unsigned living = (dead + 1) % MASTERS, other = other_than(dead, living);
    struct pair during = pair_open(s, &n, living, "exec", EXEC); /* new ones need no leader either */
    pass_lines(&during, 10);
    s->leader = kit_leader(s->kit);
    for (unsigned i = 0; i < 2 * MASTERS; i++) {
        if (i / 2 != dead) {
            pass_lines(&p[i], 10);
        }
        pair_close(&p[i]);
    }
    pass_lines(&during, 10);
    pair_close(&during);
    (void)other;
    client_close(TAKE_PTR(n.link[dead]));
    kit_start(s->kit, dead);
    node_close(&n);
    admins_open(s);
    must(s->admin[s->leader], "delete", "{kind: Pod, name: p, gracePeriodSeconds: 0}");
}

/* ---- Images ---- */

#define ARCHIVE_BYTES 2000000u

static struct loading {
    struct node *node;
    struct stream *streams[8];
    unsigned count;
    bool done;
} loading;

static void load_meanwhile(struct kit *k)
{
    struct node *n = loading.node;
    if (n->got && loading.count < ARRAY_SIZE(loading.streams)) {
        n->got = false;
        for (unsigned i = 0; i < MASTERS; i++) {
            if (rpc_request_session(n->request) == n->link[i]->rpc) {
                loading.streams[loading.count++] = stream_accept(n->link[i], n->request);
                break;
            }
        }
    }
    struct stream *st = loading.count == 0 ? NULL : loading.streams[loading.count - 1];
    if (st == NULL || st->local_ended || st->ended || st->count == 0) {
        return;
    }
    struct error err = {0};
    if (loading.count <= 2 && st->bytes > 300000 * loading.count) {
        error_set(&err, ERR_CLOSED, "the connection went away");
        stream_end(st, &err);
    } else if (value_path_bool(st->items[st->count - 1], "eof", false)) {
        stream_send(st, "{loaded: ['web:3']}");
        stream_end(st, NULL);
    }
    (void)k;
}

static void test_loading_an_image_begins_again_when_it_is_cut(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "n1", .instance = "a1-3-5"};
    struct kit *k = s->kit;
    s->leader = kit_leader(k);
    node_open(s, &n);
    loading = (struct loading){.node = &n};
    const char *path = arena_printf(&k->arena, "%s/image.tar", k->dir);
    FILE *f = fopen(path, "we");
    for (unsigned i = 0; i < ARCHIVE_BYTES; i++) {
        fputc((int)(i % 251), f);
    }
    fclose(f);
    CLEANUP_FREE char *said = NULL;
    k->meanwhile = load_meanwhile;
    int code = kit_rctl(k, &said, (const char *[]){"image", "load", path, "--node", "n1", NULL});
    k->meanwhile = NULL;
    if (code != 0 || strstr(said, "n1: loaded web:3") == NULL || strstr(said, "it begins again") == NULL) {
        fail_msg("%d: %s", code, said);
    }
    assert_int_equal(loading.count, 3);
    size_t at = 0;
    for (unsigned i = 0; i < loading.streams[2]->count; i++) {
        const struct value *v = loading.streams[2]->items[i];
        struct str bytes = v->type == VALUE_BIN ? v->str : STR_NONE;
        for (size_t j = 0; j < bytes.n; j++, at++) {
            assert_int_equal((uint8_t)bytes.p[j], at % 251);
        }
    }
    assert_int_equal(at, ARCHIVE_BYTES);
    for (unsigned i = 0; i < loading.count; i++) {
        stream_close(loading.streams[i]);
    }
    node_close(&n);
}

/* ---- Who is heard ---- */

static const char *ready_of(struct state *s, const char *node)
{
    static char text[16];
    for (unsigned i = 0; i < MASTERS; i++) {
        if (s->admin[i]->rpc == NULL || call(s->admin[i], "get", "{kind: Node, name: %s, stale: true}", node) != 0) {
            continue;
        }
        const struct value *list = value_path(s->admin[i]->result, "object.status.conditions");
        snprintf(text, sizeof text, "%s", value_text(s->kit, value_find(list, "type", STR("Ready")), "status"));
        if (strcmp(text, "Unknown") == 0) {
            return text;
        }
    }
    return text;
}

static void test_a_dead_node_is_noticed_however_often_leaders_change(void **state)
{
    struct state *s = *state;
    struct node alive = {.name = "alive", .instance = "a2-1-1"}, dead = {.name = "dead", .instance = "a3-1-1"};
    node_open(s, &alive);
    node_open(s, &dead);
    beat(&dead);
    node_close(&dead);
    int64_t died_ms = kit_now(), next_ms = died_ms, noticed_ms = 0;
    unsigned changes = 0;
    while (kit_now() < died_ms + 15000 && noticed_ms == 0) {
        beat(&alive);
        kit_turn(s->kit, 50);
        if (kit_now() >= next_ms) { /* leaders last less than half of the grace */
            transfer(s, (s->leader + 1) % MASTERS);
            changes++;
            next_ms = kit_now() + GRACE_MS / 3;
        }
        assert_string_equal(ready_of(s, "alive"), "True");
        noticed_ms = strcmp(ready_of(s, "dead"), "Unknown") == 0 ? kit_now() : 0;
    }
    print_message("%u changes of leader; noticed after %lld ms\n", changes, (long long)(noticed_ms - died_ms));
    assert_true(noticed_ms != 0);
    assert_true(noticed_ms - died_ms > GRACE_MS - 1500); /* nor too early: it was heard within the last period */
    assert_true(changes >= 2);
    s->leader = kit_leader(s->kit);
    node_close(&alive);
}

static void test_masters_that_sleep_do_not_lose_nodes(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "n1", .instance = "a1-4-3"};
    s->leader = kit_leader(s->kit);
    node_open(s, &n);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MASTERS; i++) {
            kit_freeze(s->kit, i);
        }
        for (int64_t until = kit_now() + GRACE_MS + 1500;
             kit_now() < until;) { /* nothing beats meanwhile: nobody could hear it */
            kit_turn(s->kit, 100);
        }
        for (unsigned i = 0; i < MASTERS; i++) {
            kit_thaw(s->kit, i);
        }
        for (int64_t until = kit_now() + 2500; kit_now() < until;) {
            beat(&n);
            kit_turn(s->kit, 50);
            assert_string_equal(ready_of(s, "n1"), "True");
        }
    }
    s->leader = kit_leader(s->kit);
    node_close(&n);
}

static void test_a_new_leader_without_a_link_asks_the_others(void **state)
{
    struct state *s = *state;
    struct node n = {.name = "far", .instance = "a4-1-1"};
    s->leader = kit_leader(s->kit);
    node_open(s, &n);
    unsigned to = (s->leader + 1) % MASTERS;
    client_close(TAKE_PTR(n.link[to])); /* it heard of the node once, and not for long */
    for (int64_t until = kit_now() + GRACE_MS + 1500; kit_now() < until; kit_turn(s->kit, 50)) {
        beat(&n);
    }
    transfer(s, to);
    int64_t began_ms = kit_now();
    while (kit_now() < began_ms + GRACE_MS / 2) {
        kit_turn(s->kit, 50);
        assert_string_equal(ready_of(s, "far"), "True");
    }
    for (int64_t until = kit_now() + KIT_WAIT_MS; strcmp(ready_of(s, "far"), "Unknown") != 0; kit_turn(s->kit, 50)) {
        assert_true(kit_now() < until); /* nobody hears it any more */
    }
    node_close(&n);
}

/* ---- One name, one agent ---- */

static unsigned conflicts(struct state *s, const char *node)
{
    unsigned n = 0;
    must(s->admin[s->leader], "list", "{kind: Event, namespace: default}");
    const struct value *items = value_get(s->admin[s->leader]->result, "items");
    VALUE_FOR(i, items)
    {
        const struct value *e = value_item(items, i);
        n += str_is(value_path_str(e, "reason"), "NodeNameConflict") &&
             str_is(value_path_str(e, "involvedObject.name"), node);
    }
    return n;
}

static void test_a_second_agent_of_one_name_is_refused_while_the_first_lives(void **state)
{
    struct state *s = *state;
    s->leader = kit_leader(s->kit);
    struct node first = {.name = "twin", .instance = "b1-7-1"}, second = {.name = "twin", .instance = "b2-1-2"};
    node_open(s, &first);
    for (unsigned i = 0; i < MASTERS; i++) {
        link_open(s, &second, i);
    }
    for (unsigned times = 0; times < 3; times++) {
        beat(&first);
        assert_int_equal(node_register(&second, s->leader), ERR_EXISTS);
        assert_non_null(strstr(second.link[s->leader]->err.message, "served by another agent"));
        for (unsigned i = 0; i < MASTERS; i++) { /* and its links are not used */
            must(second.link[i], "hello", "{name: twin, instance: %s}", second.instance);
        }
    }
    for (int64_t until = kit_now() + KIT_WAIT_MS; conflicts(s, "twin") != 1;) {
        assert_true(kit_now() < until);
    }
    CLEANUP_FREE char *log = kit_log(s->kit, s->leader);
    assert_non_null(strstr(log, "two agents cannot have one name"));
    make_pod(s, "p", "twin");
    for (unsigned by = 0; by < MASTERS; by++) {
        struct pair p = pair_open(s, &first, by, "logs", LOGS);
        pass_lines(&p, 3);
        pair_close(&p);
    }
    /* A copy of the directory: the earlier start, or another process of the same. */
    second.instance = "b1-7-2";
    assert_int_equal(node_register(&second, s->leader), ERR_EXISTS);
    second.instance = "b1-6-2";
    assert_int_equal(node_register(&second, s->leader), ERR_EXISTS);
    second.instance = "nonsense";
    assert_int_equal(node_register(&second, s->leader), ERR_USAGE);
    /* Joining under the name is refused, too. */
    must(s->admin[s->leader], "token", "{role: node}");
    const char *token = text_at(s->admin[s->leader], "token");
    struct client *stranger = client_as(s->kit, s->leader, PKI_ROLE_NONE, "");
    beat(&first);
    refused(stranger, ERR_EXISTS, "its agent lives", "join", "{token: '%s', role: node, name: twin, csr: x}", token);
    /* The first one, started again: at once, and its links with it. */
    struct node again = {.name = "twin", .instance = "b1-8-3"};
    node_open(s, &again);
    struct pair p = pair_open(s, &again, (s->leader + 1) % MASTERS, "logs", LOGS);
    pass_lines(&p, 3);
    pair_close(&p);
    assert_int_equal(node_register(&second, s->leader), ERR_USAGE);
    second.instance = "b2-1-2";
    assert_int_equal(node_register(&second, s->leader), ERR_EXISTS);
    /* It dies: after the grace the name is free. */
    node_close(&first);
    node_close(&again);
    int64_t died_ms = kit_now();
    while (node_register(&second, s->leader) != 0) {
        assert_int_equal(second.link[s->leader]->err.code, ERR_EXISTS);
        assert_true(kit_now() < died_ms + KIT_WAIT_MS);
        kit_turn(s->kit, 50);
    }
    assert_true(kit_now() - died_ms > GRACE_MS - 1500);
    node_close(&second);
    client_close(stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_master_serves_streams_over_its_own_link),
        cmocka_unit_test(test_streams_go_on_over_changes_of_leader),
        cmocka_unit_test(test_loading_an_image_begins_again_when_it_is_cut),
        cmocka_unit_test(test_a_dead_node_is_noticed_however_often_leaders_change),
        cmocka_unit_test_teardown(test_masters_that_sleep_do_not_lose_nodes, thaw),
        cmocka_unit_test(test_a_new_leader_without_a_link_asks_the_others),
        cmocka_unit_test(test_a_second_agent_of_one_name_is_refused_while_the_first_lives),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
