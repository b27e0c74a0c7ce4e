/* Network policies with real connections: which pass, which do not. Pods 1 and 2 are here, pod 3 is elsewhere. */
#include "tests/unit/agent_service_world.h"

#include "agent/clean.h"
#include "agent/policy/enforcer.h"
#include "tests/unit/agent_policy_kit.h"

#define VIP "10.96.0.7"

struct guarded {
    struct world *world;
    struct enforcer *enforcer;
    struct cluster cluster;
    uint64_t revision;
};

static void on_settled(void *data)
{
    (void)data;
}

static void start_enforcer(struct guarded *g)
{
    struct error err = {0};
    struct enforcer_events events = {on_settled, g};
    if (enforcer_new(&g->world->loop, NULL, g->world->owns, &events, &g->enforcer, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void stop_enforcer(struct guarded *g, bool remove)
{
    bool closed = false;
    enforcer_close(g->enforcer, remove, on_services_closed, &closed);
    while (!closed) {
        uv_run(&g->world->loop, UV_RUN_ONCE);
    }
}

static void settle(struct guarded *g)
{
    int64_t until = env_now_ms(env_real()) + DEADLINE_MS;
    do {
        uv_run(&g->world->loop, UV_RUN_NOWAIT);
        assert_true(env_now_ms(env_real()) < until);
    } while (!enforcer_settled(g->enforcer));
}

static void tell(struct guarded *g)
{
    put_pods_here(&g->cluster, enforcer_core(g->enforcer));
    tell_all(&g->cluster, enforcer_core(g->enforcer), ++g->revision);
    enforcer_changed(g->enforcer);
}

static void enforce(struct guarded *g)
{
    tell(g);
    enforcer_begin(g->enforcer);
    settle(g);
}

static void put_labelled(struct guarded *g, enum place where, const char *labels)
{
    CLEANUP_FREE char *yaml = xasprintf(
        "{apiVersion: v1, kind: Pod, metadata: {name: pod-%d, namespace: default, uid: uid-%d, labels: {%s}}, "
        "spec: {containers: [{name: c, image: i, ports: [{name: web, containerPort: 8080}]}]}, status: "
        "{phase: Running, podIP: %s}}",
        where, where, labels, pod_ips[where]);
    put_thing(&g->cluster, yaml)->here = where != POD_3;
}

/* The one policy of this name, and no other; the spec as YAML in one line. */
static void put_spec(struct guarded *g, const char *name, const char *spec)
{
    CLEANUP_FREE char *yaml = xasprintf("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: %s, "
                                        "namespace: default, uid: u}, spec: {%s}}",
                                        name, spec);
    put_thing(&g->cluster, yaml);
}

static void only_policy(struct guarded *g, const char *spec)
{
    while (g->cluster.policies_count > 0) {
        remove_thing(&g->cluster, KIND_NETWORKPOLICY, 0);
    }
    if (spec != NULL) {
        put_spec(g, "one", spec);
    }
    enforce(g);
}

static int guarded_setup(void **state)
{
    world_setup(state);
    if (*state == NULL) {
        return 0;
    }
    struct guarded *g = xcalloc(1, sizeof *g);
    g->world = *state;
    arena_init(&g->cluster.arena);
    put_thing(&g->cluster, "{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {team: a}}}");
    put_labelled(g, POD_1, "app: web");
    put_labelled(g, POD_2, "app: db");
    put_labelled(g, POD_3, "app: far");
    start_enforcer(g);
    enforce(g);
    *state = g;
    return 0;
}

static int guarded_teardown(void **state)
{
    struct guarded *g = *state;
    if (g == NULL) {
        return 0;
    }
    stop_enforcer(g, true);
    close_cluster(&g->cluster);
    *state = g->world;
    free(g);
    return world_teardown(state);
}

static struct told try_tcp(enum place from, enum place to)
{
    return ask_within(from, false, pod_ips[to], 8080, SILENCE_MS);
}

#define assert_passes(from, to) assert_answered(ask(from, pod_ips[to], 8080))
#define assert_cut(from, to)    assert_no_answer(try_tcp(from, to))

/* ---- */

static void a_pod_that_no_policy_selects_is_open(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    only_policy(g, "podSelector: {matchLabels: {app: nobody}}, policyTypes: [Ingress, Egress]");
    assert_passes(POD_1, POD_2);
    assert_passes(OTHER, POD_2);
    assert_passes(OUTSIDE, POD_2);
    assert_passes(POD_2, POD_3);
}

static void a_selected_pod_is_closed_in_that_direction_only(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    only_policy(g, "podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]");
    assert_cut(POD_1, POD_2);
    assert_cut(OTHER, POD_2);
    assert_cut(OUTSIDE, POD_2);
    assert_passes(POD_2, POD_1); /* and the answer comes back */
    assert_passes(POD_2, POD_3);
    assert_no_answer(ask_within(POD_1, true, pod_ips[POD_2], 8080, SILENCE_MS));
    only_policy(g, "podSelector: {matchLabels: {app: db}}, policyTypes: [Egress]");
    assert_cut(POD_2, POD_1);
    assert_cut(POD_2, POD_3);
    assert_passes(POD_1, POD_2);
    only_policy(g, NULL);
    assert_passes(POD_2, POD_1);
}

/* aws-network-policy-agent#65, #108: probes come from the node. */
static void traffic_of_the_own_node_passes_aws65(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    struct opening o = {NODE, NODE_IP, 8081, false, -1};
    on_thread(open_in_place, &o);
    only_policy(g, "podSelector: {}, policyTypes: [Ingress, Egress]");
    assert_passes(NODE, POD_1);
    assert_passes(NODE, POD_2);
    CLEANUP_CLOSE int fd = client(POD_1, false);
    assert_int_equal(dial(fd, NODE_IP, 8081), 0);
    assert_int_equal(await(fd, POLLOUT, DEADLINE_MS), 0);
    close(o.fd);
}

static void peers_are_pods_by_their_labels_here_and_elsewhere(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    only_policy(g,
                "podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]");
    assert_passes(POD_1, POD_2);
    assert_cut(OUTSIDE, POD_2);
    only_policy(g,
                "podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: far}}}]}]");
    assert_cut(POD_1, POD_2);
    put_labelled(g, POD_1, "app: far"); /* its labels change while it runs */
    enforce(g);
    assert_passes(POD_1, POD_2);
    only_policy(g, "podSelector: {matchLabels: {app: db}}, egress: [{to: [{podSelector: {matchLabels: {app: far}}, "
                   "namespaceSelector: {matchLabels: {team: a}}}]}], policyTypes: [Egress]");
    assert_passes(POD_2, POD_3);
    assert_passes(POD_2, POD_1);
    put_thing(&g->cluster,
              "{apiVersion: v1, kind: Namespace, metadata: {name: default}}"); /* and those of its namespace */
    enforce(g);
    assert_cut(POD_2, POD_3);
}

static void ports_are_numbers_names_and_ranges_of_a_protocol(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    static const struct {
        const char *ports;
        bool tcp, udp;
    } rows[] = {
        {"{port: 8080}", true, false},
        {"{port: 8080, protocol: UDP}", false, true},
        {"{port: web}", true, false},
        {"{port: web, protocol: UDP}", false, false},
        {"{port: 8000, endPort: 8100}", true, false},
        {"{port: 8000, endPort: 8079}", false, false},
        {"{protocol: UDP}", false, true},
        {"{port: 8081}, {port: 8000, endPort: 9000, protocol: UDP}, {port: 8080}", true, true},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *in =
            xasprintf("podSelector: {matchLabels: {app: db}}, ingress: [{ports: [%s]}]", rows[i].ports);
        CLEANUP_FREE char *out =
            xasprintf("podSelector: {matchLabels: {app: web}}, egress: [{ports: [%s]}], policyTypes: "
                      "[Egress]",
                      rows[i].ports);
        for (unsigned k = 0; k < 2; k++) {
            only_policy(g, k == 0 ? in : out);
            for (unsigned udp = 0; udp < 2; udp++) {
                bool passes = udp ? rows[i].udp : rows[i].tcp;
                struct told t = ask_within(POD_1, udp, pod_ips[POD_2], 8080, passes ? DEADLINE_MS : SILENCE_MS);
                assert_int_equal(t.error, passes ? 0 : ETIMEDOUT);
            }
        }
    }
}

/* website#10151, calico#3393: a block meets the address that arrives. */
static void a_block_has_exceptions_and_meets_who_arrives_calico3393(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    only_policy(g, "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.168.8.0/24}}]}]");
    assert_passes(OUTSIDE, POD_2);
    assert_cut(OTHER, POD_2);
    only_policy(g, "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [192.168.8.8/29]}}]}]");
    assert_cut(OUTSIDE, POD_2);
    assert_passes(OTHER, POD_2);
    assert_passes(POD_1, POD_2);
    /* By a node port the client still is who it is: it is masked behind the rules. */
    put_port(g->world, (struct service_port){.node_port = 30080}, "10.244.1.2 ready here");
    assert_no_answer(ask_within(OUTSIDE, false, NODE_IP, 30080, SILENCE_MS));
    only_policy(g, "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.168.8.9/32}}]}]");
    assert_answered(ask(OUTSIDE, NODE_IP, 30080));
}

static void services_are_seen_as_the_pods_behind_them(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    put_port(g->world, (struct service_port){0}, "10.244.2.1 ready");
    only_policy(g, "podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: "
                   "{matchLabels: {app: far}}}], ports: [{port: 8080}]}]");
    assert_answered(ask(POD_1, VIP, 80));
    put_port(g->world, (struct service_port){0}, "10.244.1.2 ready here");
    assert_no_answer(ask_within(POD_1, false, VIP, 80, SILENCE_MS));
    only_policy(g, "podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]");
    assert_no_answer(ask_within(POD_1, false, VIP, 80, SILENCE_MS)); /* 8080 is meant */
}

static void a_pod_reaches_itself_by_its_own_service(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    put_port(g->world, (struct service_port){0}, "10.244.1.2 ready here");
    only_policy(g, "podSelector: {}, policyTypes: [Ingress, Egress]");
    assert_answered(ask(POD_2, VIP, 80));
    assert_no_answer(ask_within(POD_1, false, VIP, 80, SILENCE_MS));
}

/* ---- Connections that are there ---- */

struct talk {
    int client, server;
};

static struct talk begin_talk(enum place from, enum place to)
{
    struct opening o = {to, pod_ips[to], 9090, false, -1};
    struct talk t = {.client = client(from, false)};
    on_thread(open_in_place, &o);
    assert_int_equal(dial(t.client, pod_ips[to], 9090), 0);
    assert_int_equal(await(o.fd, POLLIN, DEADLINE_MS), 0);
    t.server = accept4(o.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(t.server >= 0);
    close(o.fd);
    return t;
}

static bool says(int from, int to, int wait_ms)
{
    char text[8];
    assert_int_equal(send(from, "hello", 5, 0), 5);
    return await(to, POLLIN, wait_ms) == 0 && recv(to, text, sizeof text, 0) > 0;
}

static void a_connection_that_is_not_allowed_any_more_is_cut_both_ways(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    struct talk t = begin_talk(POD_1, POD_2), other = begin_talk(POD_3, POD_2);
    CLEANUP_CLOSE int udp = client(POD_1, true);
    assert_int_equal(dial(udp, pod_ips[POD_2], 8080), 0);
    assert_int_equal(send(udp, "?", 1, 0), 1);
    assert_answered(hear(udp, DEADLINE_MS));
    assert_true(says(t.client, t.server, DEADLINE_MS) && says(t.server, t.client, DEADLINE_MS));
    only_policy(g, "podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: 192.168.7.0/24}}]}]");
    assert_false(says(t.client, t.server, SILENCE_MS));
    assert_false(says(t.server, t.client, SILENCE_MS));
    assert_int_equal(send(udp, "?", 1, 0), 1);
    assert_no_answer(hear(udp, SILENCE_MS));
    assert_true(says(other.client, other.server, DEADLINE_MS) && says(other.server, other.client, DEADLINE_MS));
    only_policy(g, NULL); /* TCP sends it again */
    assert_int_equal(await(t.server, POLLIN, DEADLINE_MS), 0);
    assert_int_equal(await(t.client, POLLIN, DEADLINE_MS), 0);
    close(t.client);
    close(t.server);
    close(other.client);
    close(other.server);
}

static void a_connection_that_stays_allowed_outlives_every_change(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    struct talk t = begin_talk(POD_1, POD_2);
    static const char *const specs[] = {
        "podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]",
        "podSelector: {}, ingress: [{}], egress: [{to: [{podSelector: {}}]}]",
        "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.244.1.0/24}}]}], egress: [{ports: [{port: 9090}]}]",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(specs); i++) {
        only_policy(g, specs[i]);
        assert_true(says(t.client, t.server, DEADLINE_MS) && says(t.server, t.client, DEADLINE_MS));
    }
    close(t.client);
    close(t.server);
}

/* What the kernel has forgotten, or never knew, is no way around a policy. */
static void a_packet_of_no_connection_passes_no_policy(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    only_policy(g, "podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]");
    run("nft add table ip others && nft 'add chain ip others c { type filter hook prerouting priority -300; }' && "
        "nft add rule ip others c notrack");
    assert_cut(POD_1, POD_2);
    assert_no_answer(ask_within(POD_1, true, pod_ips[POD_2], 8080, SILENCE_MS));
    run("nft delete table ip others");
}

/* ---- The table ---- */

static void what_others_break_is_mended(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    static const char *const breaks[] = {
        "nft delete table ip " POLICY_TABLE,
        "nft flush chain ip " POLICY_TABLE " forward",
        "nft flush set ip " POLICY_TABLE " pods-in",
        "nft flush ruleset",
    };
    only_policy(g, "podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]");
    for (unsigned i = 0; i < ARRAY_SIZE(breaks); i++) {
        struct enforcer_stats before, now;
        enforcer_get_stats(g->enforcer, &before);
        run(breaks[i]);
        int64_t until = env_now_ms(env_real()) + DEADLINE_MS;
        do {
            uv_run(&g->world->loop, UV_RUN_NOWAIT);
            enforcer_get_stats(g->enforcer, &now);
            assert_true(env_now_ms(env_real()) < until);
        } while (now.mends == before.mends);
        settle(g);
        assert_cut(POD_1, POD_2);
    }
}

/* Nobody is unprotected even for a moment. */
static void a_flush_of_others_passes_by(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    if (!kernel_lets_own()) {
        skip();
    }
    struct enforcer_stats st;
    only_policy(g, "podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]");
    stop_enforcer(g, false);
    g->world->owns = true; /* takes over what was nobody's own, by another table in its place */
    start_enforcer(g);
    enforce(g);
    run("nft flush ruleset && nft list table ip " POLICY_TABLE " | grep -q pods-in");
    run("! nft delete table ip " POLICY_TABLE " 2>/dev/null && ! nft flush set ip " POLICY_TABLE
        " pods-in 2>/dev/null");
    assert_cut(POD_1, POD_2);
    enforcer_get_stats(g->enforcer, &st);
    assert_int_equal(st.mends, 0);
}

static void what_nobody_has_told_of_is_found_and_mended(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    struct enforcer_stats before, now;
    only_policy(g, "podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]");
    enforcer_get_stats(g->enforcer, &before);
    enforcer_pause_watch(g->enforcer, true);
    run("nft flush set ip " POLICY_TABLE " pods-in");
    enforcer_verify(g->enforcer);
    enforcer_get_stats(g->enforcer, &now);
    assert_int_equal(now.mends, before.mends + 1);
    settle(g);
    assert_cut(POD_1, POD_2);
    enforcer_pause_watch(g->enforcer, false);
}

/* "nothing may pass while nobody looks": the table of a former agent counts until its successor knows what to put in
 * its place. */
static void policies_stay_in_force_while_the_agent_is_away(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    only_policy(g, "podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]");
    struct talk t = begin_talk(POD_2, POD_1);
    stop_enforcer(g, false);
    assert_cut(POD_1, POD_2);
    start_enforcer(g);
    uv_run(&g->world->loop, UV_RUN_NOWAIT);
    assert_cut(POD_1, POD_2);
    assert_true(says(t.client, t.server, DEADLINE_MS));
    enforce(g);
    assert_cut(POD_1, POD_2);
    assert_true(says(t.client, t.server, DEADLINE_MS));
    close(t.client);
    close(t.server);
}

static void the_number_of_chains_and_sets_does_not_grow(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    run("nft list table ip " POLICY_TABLE " | grep -c '\\(chain\\|map\\|set\\) .* {' > /tmp/policy-objects.$PPID");
    for (unsigned i = 0; i < 100; i++) {
        char name[32];
        CLEANUP_FREE char *spec = xasprintf(
            "podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {n: '%u'}}}], ports: [{port: %u}]}]", i,
            i + 1);
        snprintf(name, sizeof name, "n%u", i);
        put_spec(g, name, spec);
    }
    enforce(g);
    run("nft list table ip " POLICY_TABLE
        " | grep -c '\\(chain\\|map\\|set\\) .* {' | cmp - /tmp/policy-objects.$PPID; "
        "rc=$?; rm -f /tmp/policy-objects.$PPID; exit $rc");
}

/* kubernetes#136786: what nft(8) cannot read ends it, and with it whoever lists the whole ruleset. */
static void everybodys_nft_can_list_it_k8s136786(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    only_policy(
        g, "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {podSelector: "
           "{}}], ports: [{port: 80}, {port: 90, endPort: 99}]}], policyTypes: [Ingress, Egress]");
    run("nft list ruleset > /dev/null && nft -j list table ip " POLICY_TABLE " > /dev/null");
}

static void nothing_is_left_of_an_agent_that_is_cleaned_away(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    struct error err = {0};
    only_policy(g, "podSelector: {}, policyTypes: [Ingress]");
    stop_services(g->world, false);
    stop_enforcer(g, false);
    run("nft list tables | grep -q reeve-policies");
    assert_int_equal(clean_node(&err), 0);
    run("! nft list tables | grep reeve");
    start_services(g->world);
    start_enforcer(g);
}

/* ---- Figures: 1,000 policies that all select pods of this node, 5,000 peers ---- */

#define MANY_POLICIES 1000u
#define MANY_PEERS    5000u
#define MANY_CLASSES  50u

static void write_many_policies(struct guarded *g, struct buf *out)
{
    mp_write_cstr(out, "policies");
    mp_write_array(out, MANY_POLICIES);
    for (unsigned i = 0; i < MANY_POLICIES; i++) {
        CLEANUP_FREE char *yaml = xasprintf("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: "
                                            "p%u, namespace: default, uid: u%u}, "
                                            "spec: {podSelector: {matchLabels: {app: a%u}}, ingress: [{from: "
                                            "[{podSelector: {matchLabels: {peer: p%u}}}], "
                                            "ports: [{port: %u}, {port: %u, endPort: %u}]}]}}",
                                            i, i, i % 100, i % MANY_CLASSES, 1000 + i, 20000 + i * 10, 20005 + i * 10);
        struct object *o = make_object(&g->cluster, yaml);
        object_write_wire(out, o);
        object_unref(o);
    }
}

static void write_many_classes(struct guarded *g, struct buf *out)
{
    mp_write_cstr(out, "classes");
    mp_write_array(out, MANY_CLASSES);
    for (unsigned k = 0; k < MANY_CLASSES; k++) {
        CLEANUP_BUF struct buf key = BUF_INIT;
        CLEANUP_FREE char *yaml = xasprintf(
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: x, namespace: default}, spec: "
            "{podSelector: {matchLabels: {peer: p%u}}}}",
            k);
        struct object *o = make_object(&g->cluster, yaml);
        struct netpol_class class = netpol_subject(o);
        netpol_class_key(&class, &key);
        object_unref(o);
        mp_write_map(out, 3);
        mp_write_key_str(out, "key", buf_str(&key));
        mp_write_key_bool(out, "whole", true);
        mp_write_cstr(out, "members");
        mp_write_array(out, MANY_PEERS / MANY_CLASSES);
        for (unsigned i = k; i < MANY_PEERS; i += MANY_CLASSES) {
            mp_write_array(out, 1);
            mp_write_int(out, (int64_t)(address_of("10.244.16.0") + i));
        }
    }
}

static void tell_of_one(struct guarded *g, uint32_t ip, bool is_there)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct object *o =
        make_object(&g->cluster, "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: x, "
                                 "namespace: default}, spec: {podSelector: {matchLabels: {peer: p7}}}}");
    struct netpol_class class = netpol_subject(o);
    netpol_class_key(&class, &key);
    mp_write_map(&b, 3);
    mp_write_key_int(&b, "revision", 3);
    mp_write_cstr(&b, "classes");
    mp_write_array(&b, 1);
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "key", buf_str(&key));
    mp_write_cstr(&b, is_there ? "members" : "gone");
    mp_write_array(&b, 1);
    if (is_there) {
        mp_write_array(&b, 1);
    }
    mp_write_int(&b, ip);
    mp_write_key_bool(&b, "complete", true);
    object_unref(o);
    policy_core_told(enforcer_core(g->enforcer), mp_of(b.data, b.size));
    enforcer_changed(g->enforcer);
    settle(g);
}

static uint64_t spent_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void a_thousand_policies_are_one_transaction_and_a_pod_is_one_element(void **state)
{
    struct guarded *g = *state;
    NEED_WORLD(g);
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct enforcer_stats before, now;
    mp_write_map(&b, 5);
    mp_write_key_int(&b, "revision", 2);
    mp_write_key_bool(&b, "whole", true);
    write_many_policies(g, &b);
    write_many_classes(g, &b);
    mp_write_key_bool(&b, "complete", true);
    for (unsigned i = 0; i < 110; i++) {
        CLEANUP_FREE char *yaml =
            xasprintf("{apiVersion: v1, kind: Pod, metadata: {name: m%u, namespace: default, uid: m%u, "
                      "labels: {app: a%u}}, spec: {containers: [{name: c, image: i}]}}",
                      i, i, i % 100);
        struct object *o = make_object(&g->cluster, yaml);
        policy_core_put_pod(enforcer_core(g->enforcer), o, address_of("10.244.1.100") + i, 0);
        object_unref(o);
    }
    enforcer_get_stats(g->enforcer, &before);
    uint64_t began_us = spent_us();
    policy_core_told(enforcer_core(g->enforcer), mp_of(b.data, b.size));
    enforcer_changed(g->enforcer);
    settle(g);
    uint64_t all_us = spent_us() - began_us;
    enforcer_get_stats(g->enforcer, &now);
    assert_int_equal(now.transactions, before.transactions + 1);
    print_message("1,000 policies, 5,000 peers, 110 pods: %zu elements, %.1f ms in all, %.1f ms of it in the kernel\n",
                  now.elements, (double)all_us / 1e3, (double)now.longest_us / 1e3);
    size_t elements = now.elements;
    began_us = spent_us();
    for (unsigned i = 0; i < 50; i++) {
        tell_of_one(g, address_of("10.244.60.1") + i, true);
    }
    enforcer_get_stats(g->enforcer, &now);
    assert_int_equal(now.elements, elements + 50);
    print_message("one more peer: %.0f us\n", (double)(spent_us() - began_us) / 50);
    tell_of_one(g, address_of("10.244.60.1"), false);
    enforcer_get_stats(g->enforcer, &now);
    assert_int_equal(now.elements, elements + 49);
}

#define T(name) cmocka_unit_test_setup_teardown(name, guarded_setup, guarded_teardown)
int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    enter_world();
    if (isolated) {
        start_servers();
    }
    const struct CMUnitTest tests[] = {
        T(a_pod_that_no_policy_selects_is_open),
        T(a_selected_pod_is_closed_in_that_direction_only),
        T(traffic_of_the_own_node_passes_aws65),
        T(peers_are_pods_by_their_labels_here_and_elsewhere),
        T(ports_are_numbers_names_and_ranges_of_a_protocol),
        T(a_block_has_exceptions_and_meets_who_arrives_calico3393),
        T(services_are_seen_as_the_pods_behind_them),
        T(a_pod_reaches_itself_by_its_own_service),
        T(a_connection_that_is_not_allowed_any_more_is_cut_both_ways),
        T(a_connection_that_stays_allowed_outlives_every_change),
        T(a_packet_of_no_connection_passes_no_policy),
        T(what_others_break_is_mended),
        T(a_flush_of_others_passes_by),
        T(what_nobody_has_told_of_is_found_and_mended),
        T(policies_stay_in_force_while_the_agent_is_away),
        T(the_number_of_chains_and_sets_does_not_grow),
        T(a_thousand_policies_are_one_transaction_and_a_pod_is_one_element),
        T(everybodys_nft_can_list_it_k8s136786),
        T(nothing_is_left_of_an_agent_that_is_cleaned_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
