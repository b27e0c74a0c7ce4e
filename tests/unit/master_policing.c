/* What masters tell nodes of network policies (master/nodes/policing.h): whoever follows, at whatever pace, enforces
 * what the policies say. */
#include "tests/unit/agent_policy_kit.h"

#include <time.h>

#include "master/nodes/policing.h"
#include "raft-store/store/view_edit.h"

#define NODES 3u

struct follower {
    struct policing_place *place;
    struct cells *cells;
    struct policy_core *core;
    struct kernel kernel;
    bool behind, complete;
    unsigned messages, wholes;
    size_t bytes;
};
struct state {
    struct cluster cluster; /* of everything; `here` is of the node that is being looked at */
    struct view *view;
    struct policing *policing;
    struct follower followers[NODES];
    uint64_t revision;
    bool has_no_room; /* for all peers: less may be allowed than policies say, and never more */
};

static const struct view *view_of(void *data)
{
    return ((struct state *)data)->view;
}

static void on_behind(void *data)
{
    ((struct follower *)data)->behind = true;
}

static void open_state(struct state *s)
{
    memset(s, 0, sizeof *s);
    arena_init(&s->cluster.arena);
    s->view = view_new();
    s->policing = policing_new(view_of, s);
    policing_sync(s->policing);
    for (unsigned i = 0; i < NODES; i++) {
        struct follower *f = &s->followers[i];
        char name[8];
        snprintf(name, sizeof name, "n%u", i);
        f->place = policing_follow(s->policing, str_of(name), on_behind, f);
        f->cells = cells_new(POLICY_SETS_COUNT);
        f->core = policy_core_new(f->cells);
        strmap_init(&f->kernel.elements);
    }
}

static void close_state(struct state *s)
{
    for (unsigned i = 0; i < NODES; i++) {
        policing_unfollow(s->followers[i].place);
        policy_core_free(s->followers[i].core);
        cells_free(s->followers[i].cells);
        kernel_close(&s->followers[i].kernel);
    }
    policing_free(s->policing);
    view_unref(s->view);
    close_cluster(&s->cluster);
}

/* ---- Changes ---- */

static struct object *at_revision(struct state *s, const struct object *o)
{
    struct object *out = NULL;
    struct error err = {0};
    assert_int_equal(object_from_value(o->kind, object_to_value(&s->cluster.arena, o), ++s->revision, &out, &err), 0);
    return out;
}

/* told false: as after a restored snapshot, somebody has to look at all of it. */
static void put(struct state *s, const char *yaml, bool told)
{
    struct thing *t = put_thing(&s->cluster, yaml);
    struct object *o = at_revision(s, t->object);
    struct object *old = view_put(s->view, o);
    object_unref(t->object);
    t->object = o;
    if (told && policing_is_of(o)) {
        policing_change(s->policing, old, o);
    }
    object_unref(old);
}

static void take_away(struct state *s, enum kind_id kind, unsigned which, bool told)
{
    unsigned *count;
    const struct object *o = list_of(&s->cluster, kind, &count)[which].object;
    struct object *old = view_remove(s->view, o->kind, o->ns, o->name);
    if (told) {
        policing_change(s->policing, old, NULL);
    }
    object_unref(old);
    remove_thing(&s->cluster, kind, which);
}

/* ---- Following ---- */

static void follow(struct state *s, struct follower *f)
{
    struct str message = policing_message(f->place, s->revision);
    assert_ptr_equal(policing_message(f->place, s->revision + 1).p, message.p); /* the same until it is sent */
    struct mp m = mp_of(message.p, message.n);
    assert_true(mp_valid(m));
    f->messages++;
    f->bytes += message.n;
    f->wholes += mp_bool(mp_get(m, "whole"), false);
    policy_core_told(f->core, m);
    policing_sent(f->place);
    f->complete = mp_bool(mp_get(m, "complete"), false);
    assert_int_equal(f->complete, !policing_is_behind(f->place));
    assert_int_equal(policy_core_revision(f->core), f->complete ? s->revision : 0);
}

static void follow_all(struct state *s, struct follower *f)
{
    while (policing_is_behind(f->place)) {
        follow(s, f);
    }
}

/* The pods of this node, as its agent has them. */
static void look_from(struct state *s, unsigned node)
{
    struct follower *f = &s->followers[node];
    char name[8];
    snprintf(name, sizeof name, "n%u", node);
    for (unsigned i = 0; i < s->cluster.pods_count; i++) {
        struct thing *t = &s->cluster.pods[i];
        t->here = str_is(mp_str(mp_get(object_spec(t->object), "nodeName")), name);
        if (t->here && netpol_is_subject(t->object)) {
            policy_core_put_pod(f->core, t->object, netpol_address(t->object), 0);
        } else {
            policy_core_remove_pod(f->core, t->object->uid);
        }
    }
}

/* ---- Random ---- */

static unsigned roll(uint64_t *state, unsigned below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*state >> 33) % below;
}

static const char *const labels[] = {"app: web", "app: db", "app: web, tier: front", "tier: back", ""};
static const char *const selectors[] = {"{}",
                                        "{matchLabels: {app: web}}",
                                        "{matchLabels: {app: db}}",
                                        "{matchLabels: {tier: front}}",
                                        "{matchExpressions: [{key: tier, operator: Exists}]}",
                                        "{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}"};

static void put_policy(struct state *s, uint64_t *d, bool told)
{
    static const char *const ports[] = {"", "ports: [{port: 80}], ", "ports: [{port: http}], ",
                                        "ports: [{protocol: UDP}], "};
    const char *a = selectors[roll(d, 6)], *b = selectors[roll(d, 6)], *c = selectors[roll(d, 6)];
    CLEANUP_FREE char *yaml = xasprintf(
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p%u, namespace: ns%u, uid: u}, spec: "
        "{policyTypes: [Ingress%s], podSelector: %s, ingress: [{%sfrom: [{podSelector: %s}, {namespaceSelector: %s, "
        "podSelector: %s}]}], egress: [{%sto: [%s%s%s]}]}}",
        roll(d, 4), roll(d, 3), roll(d, 2) ? ", Egress" : "", selectors[roll(d, 6)], ports[roll(d, 4)], a, b, c,
        ports[roll(d, 4)], roll(d, 2) ? "{namespaceSelector: " : "{podSelector: ", selectors[roll(d, 6)], "}");
    put(s, yaml, told);
}

static void put_pod(struct state *s, uint64_t *d, bool told)
{
    static const char *const ports[] = {"", "{name: http, containerPort: 80}", "{name: http, containerPort: 8080}"};
    unsigned n = roll(d, 12);
    CLEANUP_FREE char *ip = roll(d, 6) == 0 ? xstrdup("") : xasprintf(", podIP: 10.244.%u.%u", n % NODES, n + 1);
    CLEANUP_FREE char *yaml = xasprintf(
        "{apiVersion: v1, kind: Pod, metadata: {name: pod%u, namespace: ns%u, uid: uid%u-%u, labels: {%s}}, spec: "
        "{nodeName: n%u, %scontainers: [{name: c, image: i, ports: [%s]}]}, status: {phase: %s%s}}",
        n, n % 3, n, roll(d, 2), labels[roll(d, 5)], n % NODES, roll(d, 12) == 0 ? "hostNetwork: true, " : "",
        ports[roll(d, 3)], roll(d, 8) == 0 ? "Failed" : "Running", ip);
    for (unsigned i = 0; i < NODES; i++) { /* another pod of the name may have been there */
        char uid[16];
        for (unsigned k = 0; k < 2; k++) {
            snprintf(uid, sizeof uid, "uid%u-%u", n, k);
            policy_core_remove_pod(s->followers[i].core, str_of(uid));
        }
    }
    put(s, yaml, told);
}

static void change(struct state *s, uint64_t *d, bool told)
{
    unsigned what = roll(d, 12);
    if (what < 3) {
        put_policy(s, d, told);
    } else if (what < 5 && s->cluster.policies_count > 0) {
        take_away(s, KIND_NETWORKPOLICY, roll(d, s->cluster.policies_count), told);
    } else if (what == 5) {
        CLEANUP_FREE char *yaml = xasprintf("{apiVersion: v1, kind: Namespace, metadata: {name: ns%u, labels: {%s}}}",
                                            roll(d, 3), labels[roll(d, 5)]);
        put(s, yaml, told);
    } else if (what == 6 && s->cluster.pods_count > 0) {
        unsigned which = roll(d, s->cluster.pods_count);
        for (unsigned i = 0; i < NODES; i++) {
            policy_core_remove_pod(s->followers[i].core, s->cluster.pods[which].object->uid);
        }
        take_away(s, KIND_POD, which, told);
    } else {
        put_pod(s, d, told);
    }
}

static void assert_enforced(struct state *s, unsigned node, uint64_t seed, unsigned step)
{
    static const struct {
        uint8_t protocol;
        uint16_t port;
    } to[] = {{IPPROTO_TCP, 80}, {IPPROTO_TCP, 8080}, {IPPROTO_UDP, 80}, {IPPROTO_TCP, 443}};
    struct follower *f = &s->followers[node];
    look_from(s, node);
    policy_core_settle(f->core);
    kernel_commit(&f->kernel, f->cells);
    for (unsigned a = 0; a < 13; a++) {
        for (unsigned b = 0; b < 13; b++) {
            for (unsigned t = 0; t < ARRAY_SIZE(to); t++) {
                uint32_t net = 10u << 24 | 244u << 16;
                struct connection c = {net | (a % NODES) << 8 | (a + 1), net | (b % NODES) << 8 | (b + 1),
                                       to[t].protocol, to[t].port};
                bool allowed = is_allowed(&s->cluster, &c), passes = kernel_passes(&f->kernel, &c);
                if (s->has_no_room ? passes && !allowed : passes != allowed) {
                    fail_msg("seed %u, step %u, node %u: %08x -> %08x, protocol %u, port %u: the kernel %s it",
                             (unsigned)seed, step, node, c.client, c.server, c.protocol, c.port,
                             passes ? "passes" : "drops");
                }
            }
        }
    }
}

static void put_namespaces(struct state *s)
{
    for (unsigned i = 0; i < 3; i++) {
        CLEANUP_FREE char *yaml = xasprintf("{apiVersion: v1, kind: Namespace, metadata: {name: ns%u}}", i);
        put(s, yaml, true);
    }
}

/* Whoever was left out comes back, one class with each change. */
static void give_room(struct state *s)
{
    struct policing_stats st;
    policing_set_room(s->policing, 1000);
    policing_get_stats(s->policing, &st);
    for (unsigned i = 0; st.left_out > 0; i++, policing_get_stats(s->policing, &st)) {
        assert_true(i < 1000);
        put(s, "{apiVersion: v1, kind: Namespace, metadata: {name: other}}", true);
    }
    s->has_no_room = false;
}

static void whoever_follows_enforces_what_the_policies_say(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct state s;
        uint64_t d = seed;
        open_state(&s);
        s.has_no_room = seed > 40;
        if (s.has_no_room) {
            policing_set_room(s.policing, roll(&d, 30));
        }
        put_namespaces(&s);
        for (unsigned step = 0; step < 60; step++) {
            bool told = roll(&d, 20) > 0;
            change(&s, &d, told);
            if (!told) {
                policing_sync(s.policing);
            }
            unsigned node = roll(&d, NODES);
            if (roll(&d, 3) == 0) {
                follow_all(&s, &s.followers[node]);
                assert_enforced(&s, node, seed, step);
            }
        }
        give_room(&s);
        for (unsigned i = 0; i < NODES; i++) {
            follow_all(&s, &s.followers[i]);
            assert_enforced(&s, i, seed, 60);
            assert_int_equal(s.followers[i].wholes, 1);
        }
        close_state(&s);
    }
}

/* ---- What it costs ---- */

#define POD                                                                                                            \
    "{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: ns, uid: %s, labels: {app: %s}}, spec: {nodeName: "   \
    "%s, containers: [{name: c, image: i}]}, status: {phase: Running%s}}"

static void put_named(struct state *s, const char *name, const char *app, const char *node, const char *ip)
{
    CLEANUP_FREE char *at = ip == NULL ? xstrdup("") : xasprintf(", podIP: %s", ip);
    CLEANUP_FREE char *yaml = xasprintf(POD, name, name, app, node, at);
    put(s, yaml, true);
}

#define POLICY_OF_WEB                                                                                                  \
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: ns}, spec: "             \
    "{podSelector: "                                                                                                   \
    "{matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: front}}}]}]}}"

static void a_node_hears_of_policies_for_its_own_pods_only(void **state)
{
    (void)state;
    struct state s;
    struct policy_core_stats st;
    open_state(&s);
    put(&s, "{apiVersion: v1, kind: Namespace, metadata: {name: ns}}", true);
    put_named(&s, "a", "web", "n0", "10.244.0.1");
    put_named(&s, "b", "front", "n1", "10.244.1.1");
    put(&s, POLICY_OF_WEB, true);
    for (unsigned i = 0; i < NODES; i++) {
        follow_all(&s, &s.followers[i]);
        policy_core_get_stats(s.followers[i].core, &st);
        assert_int_equal(st.policies, i == 0 ? 1 : 0);
        s.followers[i].behind = false;
        s.followers[i].bytes = 0;
    }
    put_named(&s, "c", "front", "n1", "10.244.1.2"); /* a peer */
    assert_true(s.followers[0].behind && s.followers[1].behind && !s.followers[2].behind);
    follow_all(&s, &s.followers[0]);
    assert_true(s.followers[0].bytes < 300); /* that one, and not all of them */
    put_named(&s, "d", "web", "n2", NULL);   /* has no address yet: its node knows before it has one */
    follow_all(&s, &s.followers[2]);
    policy_core_get_stats(s.followers[2].core, &st);
    assert_int_equal(st.policies, 1);
    take_away(&s, KIND_POD, 0, true); /* the last one there: the policy matters no more */
    follow_all(&s, &s.followers[0]);
    policy_core_get_stats(s.followers[0].core, &st);
    assert_int_equal(st.policies, 0);
    close_state(&s);
}

static void assert_room(struct state *s, size_t members, size_t left_out, const char *lacking)
{
    struct policing_stats st;
    struct policy_core_stats told;
    policing_get_stats(s->policing, &st);
    assert_int_equal(st.members, members);
    assert_int_equal(st.left_out, left_out);
    follow_all(s, &s->followers[0]);
    look_from(s, 0);
    policy_core_settle(s->followers[0].core);
    policy_core_get_stats(s->followers[0].core, &told);
    assert_string_equal(told.lacking, lacking);
}

/* All that policies select are isolated, whatever it takes; those who may connect to them are as many as there is room
 * for, and the node can say whose rules they are missing in. */
static void without_room_peers_are_left_out_and_subjects_never(void **state)
{
    (void)state;
    struct state s;
    char name[8], ip[16];
    open_state(&s);
    policing_set_room(s.policing, 3);
    put(&s, "{apiVersion: v1, kind: Namespace, metadata: {name: ns}}", true);
    put(&s, POLICY_OF_WEB, true);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "%c%u", i % 2 == 0 ? 'f' : 'w', i);
        snprintf(ip, sizeof ip, "10.244.%u.%u", i % 2 == 0 ? 1 : 0, i + 1);
        put_named(&s, name, i % 2 == 0 ? "front" : "web", i % 2 == 0 ? "n1" : "n0", ip);
    }
    assert_room(&s, 6, 2, "ns/web");
    kernel_commit(&s.followers[0].kernel, s.followers[0].cells);
    for (unsigned i = 0; i < 8; i += 2) {
        struct connection c = {address_of("10.244.1.1") + i, address_of("10.244.0.8"), IPPROTO_TCP, 80};
        assert_int_equal(kernel_passes(&s.followers[0].kernel, &c), i < 4);
    }
    while (s.cluster.pods_count > 1) { /* w1 and w3 stay behind those that were removed */
        take_away(&s, KIND_POD, 1, true);
    }
    assert_room(&s, 1, 0, "");
    put_named(&s, "w1", "web", "n0", "10.244.0.9");
    put_named(&s, "f1", "front", "n1", "10.244.1.9");
    assert_room(&s, 3, 0, "");
    put_named(&s, "f2", "front", "n1", "10.244.1.10");
    assert_room(&s, 3, 1, "ns/web");
    /* Who were peers alone become subjects: nobody of them is missing. */
    put(&s,
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: front, namespace: ns}, spec: "
        "{podSelector: {matchLabels: {app: front}}}}",
        true);
    assert_room(&s, 4, 0, "");
    close_state(&s);
}

/* kube-router#873, k3s#13432: a pod must not begin before the policies that were there before it. */
static void each_new_pod_is_followed_by_a_message_kube_router873(void **state)
{
    (void)state;
    struct state s;
    open_state(&s);
    for (unsigned with_policy = 0; with_policy < 2; with_policy++) {
        for (unsigned i = 0; i < NODES; i++) {
            follow_all(&s, &s.followers[i]);
            s.followers[i].behind = false;
        }
        put_named(&s, with_policy ? "b" : "a", "other", "n1", NULL);
        uint64_t bound = s.revision;
        assert_true(s.followers[1].behind && !s.followers[0].behind);
        assert_true(policy_core_revision(s.followers[1].core) < bound);
        follow_all(&s, &s.followers[1]);
        assert_true(policy_core_revision(s.followers[1].core) >= bound);
        put(&s, POLICY_OF_WEB, true);
    }
    close_state(&s);
}

static void the_status_of_a_pod_costs_nothing(void **state)
{
    (void)state;
    struct state s;
    struct policing_stats before, now;
    open_state(&s);
    put(&s, "{apiVersion: v1, kind: Namespace, metadata: {name: ns}}", true);
    put_named(&s, "a", "web", "n0", "10.244.0.1");
    put(&s, POLICY_OF_WEB, true);
    for (unsigned i = 0; i < NODES; i++) {
        follow_all(&s, &s.followers[i]);
        s.followers[i].behind = false;
    }
    policing_get_stats(s.policing, &before);
    put(&s,
        "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: ns, uid: a, labels: {app: web}}, spec: {nodeName: "
        "n0, containers: [{name: c, image: i}]}, status: {phase: Running, podIP: 10.244.0.1, message: hello}}",
        true);
    policing_get_stats(s.policing, &now);
    assert_int_equal(now.matches, before.matches);
    assert_true(!s.followers[0].behind && !s.followers[1].behind);
    close_state(&s);
}

static void nothing_is_kept_while_there_is_no_policy(void **state)
{
    (void)state;
    struct state s;
    struct policing_stats st;
    open_state(&s);
    put(&s, "{apiVersion: v1, kind: Namespace, metadata: {name: ns}}", true);
    put_named(&s, "a", "web", "n0", "10.244.0.1");
    policing_get_stats(s.policing, &st);
    assert_int_equal(st.pods, 0);
    put(&s, POLICY_OF_WEB, true);
    policing_get_stats(s.policing, &st);
    assert_int_equal(st.pods, 1);
    assert_int_equal(st.classes, 2);
    take_away(&s, KIND_NETWORKPOLICY, 0, true);
    policing_get_stats(s.policing, &st);
    assert_int_equal(st.pods, 0);
    assert_int_equal(st.classes, 0);
    follow_all(&s, &s.followers[0]);
    close_state(&s);
}

/* A change of one pod compares it with the selectors that may have it, not with those of other namespaces. */
static void a_pod_is_compared_with_the_selectors_of_its_namespace(void **state)
{
    (void)state;
    struct state s;
    struct policing_stats before, now;
    open_state(&s);
    for (unsigned i = 0; i < 100; i++) {
        CLEANUP_FREE char *ns = xasprintf("{apiVersion: v1, kind: Namespace, metadata: {name: t%u}}", i);
        CLEANUP_FREE char *policy = xasprintf(
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: t%u}, spec: "
            "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}}",
            i);
        put(&s, ns, true);
        put(&s, policy, true);
    }
    policing_get_stats(s.policing, &before);
    put(&s,
        "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: t7, uid: a, labels: {app: web}}, spec: {nodeName: "
        "n0, containers: [{name: c, image: i}]}}",
        true);
    policing_get_stats(s.policing, &now);
    assert_int_equal(now.matches - before.matches, 2);
    close_state(&s);
}

/* One of masses, which the model of the cluster does not have. The caller's. */
static struct object *one_of_many(struct state *s, enum kind_id kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static struct object *one_of_many(struct state *s, enum kind_id kind, const char *fmt, ...)
{
    CLEANUP_ARENA struct arena a;
    char yaml[1024];
    struct value **docs;
    unsigned count;
    struct object *o = NULL;
    va_list args;
    arena_init(&a);
    va_start(args, fmt);
    assert_in_range(vsnprintf(yaml, sizeof yaml, fmt, args), 1, sizeof yaml - 1);
    va_end(args);
    assert_int_equal(yaml_read(&a, str_of(yaml), NULL, &docs, &count, NULL), 0);
    assert_int_equal(object_from_value(kind_by_id(kind), docs[0], ++s->revision, &o, NULL), 0);
    return o;
}

static void a_class_of_thousands_is_told_in_parts(void **state)
{
    (void)state;
    struct state s;
    struct policy_core_stats st;
    open_state(&s);
    put(&s, "{apiVersion: v1, kind: Namespace, metadata: {name: ns}}", true);
    put_named(&s, "a", "web", "n0", "10.244.0.1");
    put(&s, POLICY_OF_WEB, true);
    for (unsigned i = 0; i < 20000; i++) {
        struct object *pod =
            one_of_many(&s, KIND_POD,
                        "{apiVersion: v1, kind: Pod, metadata: {name: f%u, namespace: ns, uid: f%u, labels: {app: "
                        "front}}, spec: {nodeName: n9, containers: [{name: c, image: i, ports: [{name: "
                        "some-long-name, containerPort: 80}]}]}, status: {podIP: 10.245.%u.%u}}",
                        i, i, i / 250, i % 250 + 1);
        object_unref(view_put(s.view, pod));
        policing_change(s.policing, NULL, pod);
        object_unref(pod);
    }
    follow_all(&s, &s.followers[0]);
    assert_true(s.followers[0].messages > 1);
    look_from(&s, 0);
    policy_core_settle(s.followers[0].core);
    assert_true(kernel_commit(&s.followers[0].kernel, s.followers[0].cells) > 20000);
    policy_core_get_stats(s.followers[0].core, &st);
    assert_int_equal(st.identities, 1);
    close_state(&s);
}

/* ---- Figures ---- */

static uint64_t spent_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct object *many_pod(struct state *s, unsigned i, bool has_address)
{
    char status[64] = "{}";
    if (has_address) {
        snprintf(status, sizeof status, "{phase: Running, podIP: 10.245.%u.%u}", i / 250, i % 250 + 1);
    }
    return one_of_many(s, KIND_POD,
                       "{apiVersion: v1, kind: Pod, metadata: {name: f%u, namespace: t%u, uid: f%u, labels: {app: a%u, "
                       "tier: t%u}}, spec: {nodeName: n%u, containers: [{name: c, image: i}]}, status: %s}",
                       i, i % 50, i, i / 50 % 20, i % 7, i % 100, status);
}

static void a_change_of_one_pod_is_cheap_among_a_thousand_policies(void **state)
{
    (void)state;
    struct state s;
    struct policing_stats before, now;
    open_state(&s);
    for (unsigned i = 0; i < 5000; i++) {
        struct object *pod = many_pod(&s, i, true);
        object_unref(view_put(s.view, pod));
        object_unref(pod);
    }
    for (unsigned i = 0; i < 1000; i++) {
        struct object *o =
            one_of_many(&s, KIND_NETWORKPOLICY,
                        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p%u, namespace: "
                        "t%u}, spec: {podSelector: {matchLabels: {app: a%u}}, policyTypes: [Ingress], ingress: "
                        "[{from: [{podSelector: {matchLabels: {app: a%u}}}, {namespaceSelector: {}, podSelector: "
                        "{matchLabels: {tier: t%u}}}]}]}}",
                        i, i % 50, i / 50, (i / 50 + 1) % 20, i % 7);
        object_unref(view_put(s.view, o));
        object_unref(o);
    }
    for (unsigned i = 0; i < 50; i++) {
        CLEANUP_FREE char *yaml = xasprintf("{apiVersion: v1, kind: Namespace, metadata: {name: t%u}}", i);
        put(&s, yaml, true);
    }
    uint64_t began_us = spent_us();
    policing_sync(s.policing);
    uint64_t sync_us = spent_us() - began_us;
    began_us = spent_us();
    follow_all(&s, &s.followers[0]);
    uint64_t first_us = spent_us() - began_us;
    policing_get_stats(s.policing, &before);
    struct object *pods[200], *without[200];
    for (unsigned i = 0; i < 200; i++) {
        without[i] = many_pod(&s, 6000 + i, false);
        pods[i] = many_pod(&s, 6000 + i, true);
    }
    began_us = spent_us();
    for (unsigned i = 0; i < 200; i++) { /* bound, and then with an address */
        policing_change(s.policing, NULL, without[i]);
        policing_change(s.policing, without[i], pods[i]);
    }
    uint64_t pod_us = (spent_us() - began_us) / 200;
    policing_get_stats(s.policing, &now);
    print_message(
        "1,000 policies, 5,000 pods: all of it looked at in %.1f ms, told to one of 100 nodes in %.2f ms and %zu "
        "bytes; a pod that comes %llu us, %lu comparisons\n",
        (double)sync_us / 1e3, (double)first_us / 1e3, s.followers[0].bytes, (unsigned long long)pod_us,
        (now.matches - before.matches) / 200);
    assert_true((now.matches - before.matches) / 200 < 100); /* of 1,000 policies */
    for (unsigned i = 0; i < 200; i++) {
        object_unref(pods[i]);
        object_unref(without[i]);
    }
    close_state(&s);
}

/* Each of thousands of peers chooses every pod: a class among those of a pod is not looked for. It took minutes of the
 * loop. */
static void peers_that_choose_everything_do_not_hold_the_loop(void **state)
{
    (void)state;
    struct state s;
    struct policing_stats now;
    open_state(&s);
    for (unsigned i = 0; i < 1000; i++) {
        struct object *pod = many_pod(&s, i, false);
        object_unref(view_put(s.view, pod));
        object_unref(pod);
    }
    for (unsigned i = 0; i < 50; i++) {
        CLEANUP_FREE char *yaml = xasprintf("{apiVersion: v1, kind: Namespace, metadata: {name: t%u}}", i);
        put(&s, yaml, false);
    }
    uint64_t began_us = spent_us();
    for (unsigned i = 0; i < 2; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        buf_printf(&b,
                   "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p%u, namespace: t1}, "
                   "spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [",
                   i);
        for (unsigned k = 0; k < 1000; k++) {
            buf_printf(&b,
                       "%s{namespaceSelector: {}, podSelector: {matchExpressions: [{key: k%u-%u, operator: "
                       "DoesNotExist}]}}",
                       k > 0 ? "," : "", i, k);
        }
        buf_printf(&b, "]}]}}");
        put(&s, buf_cstr(&b), true);
    }
    struct object *pod = many_pod(&s, 1, true), *old = many_pod(&s, 1, false);
    policing_change(s.policing, old, pod);
    policing_change(s.policing, pod, NULL);
    object_unref(pod);
    object_unref(old);
    uint64_t us = spent_us() - began_us;
    policing_get_stats(s.policing, &now);
    print_message("2,000 peers that choose each of 1,000 pods: %.1f ms\n", (double)us / 1e3);
    assert_int_equal(now.classes, 2001);
    assert_int_equal(now.pods, 999);
    assert_true(us < 10 * 1000000);
    close_state(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_follows_enforces_what_the_policies_say),
        cmocka_unit_test(a_node_hears_of_policies_for_its_own_pods_only),
        cmocka_unit_test(without_room_peers_are_left_out_and_subjects_never),
        cmocka_unit_test(each_new_pod_is_followed_by_a_message_kube_router873),
        cmocka_unit_test(the_status_of_a_pod_costs_nothing),
        cmocka_unit_test(nothing_is_kept_while_there_is_no_policy),
        cmocka_unit_test(a_pod_is_compared_with_the_selectors_of_its_namespace),
        cmocka_unit_test(a_class_of_thousands_is_told_in_parts),
        cmocka_unit_test(a_change_of_one_pod_is_cheap_among_a_thousand_policies),
        cmocka_unit_test(peers_that_choose_everything_do_not_hold_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
