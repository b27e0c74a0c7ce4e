/* Random clusters: what the elements that a node makes of policies say of a connection is what the policies say. */
#include "tests/unit/agent_policy_kit.h"

#include <stdlib.h>

#define SEEDS 60u
#define STEPS 12u

struct dice {
    uint64_t state;
};

static unsigned roll(struct dice *d, unsigned below)
{
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(d->state >> 33) % below;
}

static const char *pick_label(struct dice *d)
{
    static const char *const labels[] = {"app: web", "app: db", "app: web, tier: front", "tier: back", ""};
    return labels[roll(d, 5)];
}

static void write_selector(struct dice *d, struct buf *out)
{
    static const char *const selectors[] = {
        "{}",
        "{matchLabels: {app: web}}",
        "{matchLabels: {app: db}}",
        "{matchLabels: {tier: front}}",
        "{matchExpressions: [{key: tier, operator: Exists}]}",
        "{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}",
        "{matchExpressions: [{key: app, operator: In, values: [web, db]}], matchLabels: {tier: front}}",
    };
    buf_puts(out, selectors[roll(d, 7)]);
}

static void write_ports_of_rule(struct dice *d, struct buf *out)
{
    static const char *const ports[] = {
        "{port: 80}",
        "{port: 81}",
        "{port: http}",
        "{port: dns, protocol: UDP}",
        "{protocol: UDP}",
        "{port: 80, endPort: 90}",
        "{port: 85, endPort: 443}",
        "{}",
        "{port: 53, protocol: UDP}",
        "{port: 8080, endPort: 8080}",
        "{port: 1, endPort: 65535}",
    };
    unsigned n = roll(d, 4);
    if (n > 0) {
        buf_puts(out, "ports: [");
        for (unsigned i = 0; i < n; i++) {
            buf_printf(out, "%s%s", i > 0 ? ", " : "", ports[roll(d, 11)]);
        }
        buf_puts(out, "], ");
    }
}

static void write_peer(struct dice *d, struct buf *out)
{
    static const char *const blocks[] = {
        "{cidr: 0.0.0.0/0}",
        "{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}",
        "{cidr: 192.168.0.0/16, except: [192.168.1.0/24, 192.168.1.128/25]}",
        "{cidr: 192.168.1.0/24}",
        "{cidr: 10.244.1.0/24, except: [10.244.1.2/32]}",
        "{cidr: 'fd00::/8'}",
        "{cidr: 10.244.0.3/32}",
    };
    unsigned what = roll(d, 4);
    if (what == 3) {
        buf_printf(out, "{ipBlock: %s}", blocks[roll(d, 7)]);
        return;
    }
    buf_putc(out, '{');
    if (what != 1) {
        buf_puts(out, "podSelector: ");
        write_selector(d, out);
        buf_puts(out, what == 2 ? ", " : "");
    }
    if (what != 0) {
        buf_puts(out, "namespaceSelector: ");
        write_selector(d, out);
    }
    buf_putc(out, '}');
}

static void write_rules(struct dice *d, struct buf *out, const char *peers)
{
    unsigned rules = roll(d, 4);
    buf_putc(out, '[');
    for (unsigned i = 0; i < rules; i++) {
        unsigned n = roll(d, 4);
        buf_puts(out, i > 0 ? ", {" : "{");
        write_ports_of_rule(d, out);
        buf_printf(out, "%s: [", peers);
        for (unsigned k = 0; k < n; k++) {
            buf_puts(out, k > 0 ? ", " : "");
            write_peer(d, out);
        }
        buf_puts(out, "]}");
    }
    buf_putc(out, ']');
}

static void put_policy(struct dice *d, struct cluster *c)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    static const char *const types[] = {"[Ingress]", "[Egress]", "[Ingress, Egress]", "[]"};
    buf_printf(
        &b,
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p%u, namespace: ns%u, uid: u}, "
        "spec: {policyTypes: %s, podSelector: ",
        roll(d, 4), roll(d, 3), types[roll(d, 4)]);
    write_selector(d, &b);
    buf_puts(&b, ", ingress: ");
    write_rules(d, &b, "from");
    buf_puts(&b, ", egress: ");
    write_rules(d, &b, "to");
    buf_puts(&b, "}}");
    put_thing(c, buf_cstr(&b));
}

static void put_pod(struct dice *d, struct cluster *c)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    static const char *const ports[] = {"", "{name: http, containerPort: 80}", "{name: http, containerPort: 8080}",
                                        "{name: dns, containerPort: 53, protocol: UDP}"};
    unsigned n = roll(d, 10);
    buf_printf(&b,
               "{apiVersion: v1, kind: Pod, metadata: {name: pod%u, namespace: ns%u, uid: uid%u, labels: {%s}}, spec: "
               "{%scontainers: [{name: c, image: i, ports: [%s]}]}, status: {phase: %s, podIP: 10.244.%u.%u}}",
               n, n % 3, n, pick_label(d), roll(d, 10) == 0 ? "hostNetwork: true, " : "", ports[roll(d, 4)],
               roll(d, 10) == 0 ? "Succeeded" : "Running", n % 2, n);
    put_thing(c, buf_cstr(&b))->here = n % 2 == 1;
}

static void put_namespace(struct dice *d, struct cluster *c)
{
    CLEANUP_FREE char *yaml =
        xasprintf("{apiVersion: v1, kind: Namespace, metadata: {name: ns%u, labels: {%s}}}", roll(d, 3), pick_label(d));
    put_thing(c, yaml);
}

static void change(struct dice *d, struct cluster *c, struct policy_core *core)
{
    unsigned what = roll(d, 10);
    if (what < 3) {
        put_policy(d, c);
    } else if (what == 3 && c->policies_count > 0) {
        remove_thing(c, KIND_NETWORKPOLICY, roll(d, c->policies_count));
    } else if (what == 4) {
        put_namespace(d, c);
    } else if (what == 5 && c->pods_count > 0) {
        unsigned which = roll(d, c->pods_count);
        policy_core_remove_pod(core, c->pods[which].object->uid);
        remove_thing(c, KIND_POD, which);
    } else {
        put_pod(d, c);
    }
}

static void assert_same(const struct cluster *c, const struct kernel *k, unsigned seed, unsigned step)
{
    static const struct {
        uint8_t protocol;
        uint16_t port;
    } to[] = {{IPPROTO_TCP, 80},   {IPPROTO_TCP, 81},  {IPPROTO_TCP, 90},   {IPPROTO_TCP, 443},
              {IPPROTO_TCP, 8080}, {IPPROTO_UDP, 53},  {IPPROTO_UDP, 80},   {IPPROTO_ICMP, 7},
              {IPPROTO_TCP, 444},  {IPPROTO_SCTP, 80}, {IPPROTO_TCP, 65535}};
    static const char *const outside[] = {"192.168.1.7", "192.168.1.200", "192.168.2.1", "8.8.8.8"};
    uint32_t ips[16];
    unsigned count = 0;
    for (unsigned n = 0; n < 10; n++) {
        ips[count++] = 10u << 24 | 244u << 16 | (n % 2) << 8 | n;
    }
    for (unsigned i = 0; i < 4; i++) {
        ips[count++] = address_of(outside[i]);
    }
    for (unsigned a = 0; a < count; a++) {
        for (unsigned b = 0; b < count; b++) {
            for (unsigned t = 0; t < ARRAY_SIZE(to); t++) {
                struct connection conn = {ips[a], ips[b], to[t].protocol, to[t].port};
                if (is_allowed(c, &conn) != kernel_passes(k, &conn)) {
                    fail_msg("seed %u, step %u: %08x -> %08x, protocol %u, port %u: the kernel %s it", seed, step,
                             conn.client, conn.server, conn.protocol, conn.port,
                             kernel_passes(k, &conn) ? "passes" : "drops");
                }
            }
        }
    }
}

static void what_the_kernel_has_is_what_the_policies_say(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        struct dice d = {seed};
        struct cluster c = {0};
        struct cells *cells = cells_new(POLICY_SETS_COUNT);
        struct policy_core *core = policy_core_new(cells);
        struct kernel k = {0};
        arena_init(&c.arena);
        strmap_init(&k.elements);
        for (unsigned i = 0; i < 3; i++) {
            CLEANUP_FREE char *yaml = xasprintf("{apiVersion: v1, kind: Namespace, metadata: {name: ns%u}}", i);
            put_thing(&c, yaml);
        }
        for (unsigned i = 0; i < 8; i++) {
            put_pod(&d, &c);
        }
        for (unsigned step = 0; step < STEPS; step++) {
            change(&d, &c, core);
            for (unsigned i = 0; i < c.pods_count; i++) { /* as the agent does */
                if (!netpol_is_subject(c.pods[i].object)) {
                    policy_core_remove_pod(core, c.pods[i].object->uid);
                }
            }
            put_pods_here(&c, core);
            tell_all(&c, core, step + 1);
            policy_core_settle(core);
            kernel_commit(&k, cells);
            assert_same(&c, &k, seed, step);
        }
        while (c.policies_count > 0) {
            remove_thing(&c, KIND_NETWORKPOLICY, 0);
        }
        tell_all(&c, core, STEPS + 1);
        policy_core_settle(core);
        kernel_commit(&k, cells);
        assert_int_equal(cells_count(cells), 0); /* nothing is left of it */
        struct policy_core_stats st;
        policy_core_get_stats(core, &st);
        assert_int_equal(st.identities, 0);
        assert_int_equal(st.groups, 0);
        kernel_close(&k);
        policy_core_free(core);
        cells_free(cells);
        close_cluster(&c);
    }
}

/* What is too much costs no more than the limits, takes nothing from others, and allows no more than it says. */
static void a_policy_that_allows_too_much_allows_a_part_of_it(void **state)
{
    (void)state;
    struct cluster c = {0};
    struct cells *cells = cells_new(POLICY_SETS_COUNT);
    struct policy_core *core = policy_core_new(cells);
    struct policy_core_stats st;
    struct kernel k = {0};
    CLEANUP_BUF struct buf b = BUF_INIT;
    arena_init(&c.arena);
    strmap_init(&k.elements);
    put_thing(&c, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}");
    put_thing(&c,
              "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: default, uid: a, labels: {app: a}}, spec: "
              "{containers: [{name: c, image: i}]}, status: {podIP: 10.244.1.1}}")
        ->here = true;
    put_thing(&c,
              "{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: default, uid: b, labels: {app: b}}, spec: "
              "{containers: [{name: c, image: i}]}, status: {podIP: 10.244.1.2}}")
        ->here = true;
    put_thing(&c,
              "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: modest, namespace: default}, "
              "spec: {podSelector: {matchLabels: {app: b}}, ingress: [{ports: [{port: 80}]}]}}");
    buf_puts(
        &b, "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: much, namespace: default}, spec: "
            "{podSelector: {matchLabels: {app: a}}, ingress: [");
    for (unsigned i = 0; i < 900; i++) { /* each with a list of its own */
        buf_printf(&b, "{from: [{ipBlock: {cidr: 192.168.%u.%u/32}}], ports: [{port: %u}]}, ", i / 250, i % 250,
                   30000 + i);
    }
    for (unsigned i = 0; i < 3; i++) {
        buf_puts(&b, i > 0 ? "}, {ports: [" : "{ports: [");
        for (unsigned n = 0; n < 1000; n++) {
            buf_printf(&b, "%s{port: %u}", n > 0 ? ", " : "", 1000 + (i * 1000 + n) * 2);
        }
        buf_putc(&b, ']');
    }
    buf_puts(&b, "}]}}");
    put_thing(&c, buf_cstr(&b));
    put_pods_here(&c, core);
    tell_all(&c, core, 1);
    policy_core_settle(core);
    assert_true(cells_count(cells) < POLICY_ELEMENTS_MAX);
    assert_true(cells_count(cells) > 3000);
    policy_core_get_stats(core, &st);
    assert_string_equal(st.overflow, "default/a");
    kernel_commit(&k, cells);
    struct connection anybody = {address_of("8.8.8.8"), address_of("10.244.1.1"), IPPROTO_TCP, 1000};
    assert_true(kernel_passes(&k, &anybody)); /* everybody's part is the last that is left out */
    anybody.port = 1001;
    assert_false(kernel_passes(&k, &anybody));
    struct connection modest = {address_of("8.8.8.8"), address_of("10.244.1.2"), IPPROTO_TCP, 80};
    assert_true(kernel_passes(&k, &modest));
    kernel_close(&k);
    policy_core_free(core);
    cells_free(cells);
    close_cluster(&c);
}

/* ---- Pods that have another address than masters know ---- */

struct node {
    struct cluster told; /* as masters know it */
    struct cells *cells;
    struct policy_core *core;
    struct kernel kernel;
};

static struct thing *tell_pod(struct node *n, const char *name, const char *app, const char *ip)
{
    CLEANUP_FREE char *yaml = xasprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: default, uid: %s, "
                                        "labels: {app: %s}}, spec: {containers: [{name: c, image: i}]}, status: "
                                        "{podIP: '%s'}}",
                                        name, name, app, ip);
    return put_thing(&n->told, yaml);
}

/* To the server at .7, which is here, those of app a may go, and nobody else. */
static void open_node(struct node *n)
{
    *n = (struct node){0};
    n->cells = cells_new(POLICY_SETS_COUNT);
    n->core = policy_core_new(n->cells);
    arena_init(&n->told.arena);
    strmap_init(&n->kernel.elements);
    put_thing(&n->told, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}");
    put_thing(&n->told, "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: "
                        "default}, spec: {podSelector: {matchLabels: {app: server}}, ingress: [{from: [{podSelector: "
                        "{matchLabels: {app: a}}}]}]}}");
    policy_core_put_pod(n->core, tell_pod(n, "server", "server", "10.244.1.7")->object, address_of("10.244.1.7"), 0);
}

static void close_node(struct node *n)
{
    kernel_close(&n->kernel);
    policy_core_free(n->core);
    cells_free(n->cells);
    close_cluster(&n->told);
}

/* The pod is here, at `ip`; what masters know of it is as it is, from this revision on. */
static void is_known_at(struct node *n, const struct thing *pod, const char *ip, uint64_t revision)
{
    policy_core_put_pod(n->core, pod->object, address_of(ip), revision);
}
static void is_at(struct node *n, const struct thing *pod, const char *ip)
{
    is_known_at(n, pod, ip, 0);
}

/* Which of .1 to .9 may go to the server, as "13". */
static void assert_pass(struct node *n, const char *wanted)
{
    char found[16] = "";
    policy_core_settle(n->core);
    kernel_commit(&n->kernel, n->cells);
    for (char last = '1'; last <= '6'; last++) {
        char text[16];
        snprintf(text, sizeof text, "10.244.1.%c", last);
        struct connection to = {address_of(text), address_of("10.244.1.7"), IPPROTO_TCP, 80};
        if (kernel_passes(&n->kernel, &to)) {
            strncat(found, &last, 1);
        }
    }
    assert_string_equal(found, wanted);
}

/* The node has lost its power, and begins without masters; the address that pod a had is another one's. */
static void who_has_another_address_than_before_is_let_in_from_there(void **state)
{
    (void)state;
    struct node n;
    open_node(&n);
    const struct thing *a = tell_pod(&n, "a", "a", "10.244.1.1");
    tell_all(&n.told, n.core, 1);
    policy_core_remembered(n.core);
    assert_pass(&n, "1");
    CLEANUP_OBJECT struct object *other = make_object(
        &n.told,
        "{apiVersion: v1, kind: Pod, metadata: {name: other, namespace: default, uid: other, labels: {app: b}}, "
        "spec: {containers: [{name: c, image: i}]}}");
    policy_core_put_pod(n.core, other, address_of("10.244.1.1"), 0);
    assert_pass(&n, ""); /* not because of whom masters knew there */
    is_at(&n, a, "10.244.1.4");
    assert_pass(&n, "4");
    tell_all(&n.told, n.core, 2); /* masters are heard again: whom they mean at the former address is not known */
    assert_pass(&n, "");
    is_at(&n, a, "10.244.1.5");
    assert_pass(&n, "");
    /* They know better now, and the node has not heard that they do. */
    a = tell_pod(&n, "a", "a", "10.244.1.5");
    tell_all(&n.told, n.core, 3);
    assert_pass(&n, "");
    is_at(&n, a, "10.244.1.5");
    assert_pass(&n, "5");
    /* The former address is as good as any, when it is nobody's here. */
    tell_pod(&n, "b", "a", "10.244.1.1");
    tell_all(&n.told, n.core, 4);
    assert_pass(&n, "5");
    policy_core_remove_pod(n.core, other->uid);
    tell_all(&n.told, n.core, 4);
    assert_pass(&n, "15");
    policy_core_remove_pod(n.core, a->object->uid);
    assert_pass(&n, "15"); /* until masters say so */
    close_node(&n);
}

static void pods_whose_addresses_were_exchanged_are_not_taken_for_each_other(void **state)
{
    (void)state;
    struct node n;
    open_node(&n);
    const struct thing *a = tell_pod(&n, "a", "a", "10.244.1.1");
    const struct thing *b = tell_pod(&n, "b", "b", "10.244.1.2");
    const struct thing *c = tell_pod(&n, "c", "a", "10.244.1.3");
    tell_all(&n.told, n.core, 1);
    policy_core_remembered(n.core);
    assert_pass(&n, "13");
    is_at(&n, a, "10.244.1.2");
    is_at(&n, b, "10.244.1.3");
    is_at(&n, c, "10.244.1.1");
    assert_pass(&n, "12");
    is_at(&n, b, "10.244.1.1"); /* and once more, as each gets a new sandbox */
    is_at(&n, c, "10.244.1.3");
    assert_pass(&n, "23");
    is_at(&n, b, "10.244.1.2");
    is_at(&n, a, "10.244.1.1");
    assert_pass(&n, "13");
    close_node(&n);
}

/* Of what masters had told of others' addresses before the start, nothing counts for who has them now. */
static void what_was_told_of_an_address_counts_for_nobody_who_came_later(void **state)
{
    (void)state;
    struct node n;
    open_node(&n);
    tell_pod(&n, "gone", "a", "10.244.1.1");
    tell_all(&n.told, n.core, 1);
    policy_core_remembered(n.core);
    CLEANUP_OBJECT struct object *other = make_object(
        &n.told,
        "{apiVersion: v1, kind: Pod, metadata: {name: other, namespace: default, uid: other, labels: {app: b}}, "
        "spec: {containers: [{name: c, image: i}]}}");
    policy_core_put_pod(n.core, other, address_of("10.244.1.1"), 0);
    assert_pass(&n, "");
    policy_core_remove_pod(n.core, other->uid);
    assert_pass(&n, "1"); /* there is nobody there; masters will say so */
    policy_core_put_pod(n.core, other, address_of("10.244.1.1"), 0);
    tell_all(&n.told, n.core, 2);
    assert_pass(&n, ""); /* they have been heard, and do not know yet who is there */
    policy_core_remove_pod(n.core, other->uid);
    assert_pass(&n, "1");
    close_node(&n);
}

/* What masters tell of addresses and what they have acknowledged of statuses come over two ways: whichever is first,
 * nobody is let in for another one. */
static void pods_that_exchange_addresses_are_let_in_when_it_is_known_who_is_who(void **state)
{
    (void)state;
    struct node n;
    open_node(&n);
    const struct thing *a = tell_pod(&n, "a", "a", "10.244.1.1"), *b = tell_pod(&n, "b", "b", "10.244.1.2");
    is_at(&n, a, "10.244.1.1");
    is_at(&n, b, "10.244.1.2");
    tell_all(&n.told, n.core, 10);
    assert_pass(&n, "1");
    is_at(&n, b, "10.244.1.1");
    assert_pass(&n, ""); /* a is not there any more, or on its way */
    is_at(&n, a, "10.244.1.2");
    assert_pass(&n, "");
    /* Masters tell of the new addresses first: of a's, so that both seem to have one ... */
    a = tell_pod(&n, "a", "a", "10.244.1.2");
    tell_all(&n.told, n.core, 11);
    assert_pass(&n, "");
    is_known_at(&n, a, "10.244.1.2", 11);
    assert_pass(&n, "");
    /* ... and of b's. */
    b = tell_pod(&n, "b", "b", "10.244.1.1");
    tell_all(&n.told, n.core, 12);
    assert_pass(&n, "");
    is_known_at(&n, b, "10.244.1.1", 12);
    assert_pass(&n, "2");
    /* Back, and the statuses are acknowledged first. */
    is_at(&n, a, "10.244.1.1");
    is_at(&n, b, "10.244.1.2");
    a = tell_pod(&n, "a", "a", "10.244.1.1");
    b = tell_pod(&n, "b", "b", "10.244.1.2");
    is_known_at(&n, a, "10.244.1.1", 13);
    is_known_at(&n, b, "10.244.1.2", 14);
    assert_pass(&n, "");
    is_known_at(&n, b, "10.244.1.2", 15); /* its status changes once more */
    assert_pass(&n, "");
    tell_all(&n.told, n.core, 14);
    assert_pass(&n, "1");
    is_known_at(&n, a, "10.244.1.1", 20);
    assert_pass(&n, "1"); /* it has been there since */
    close_node(&n);
}

/* An address that is free again is given at once to a pod that masters know nothing of yet. */
static void whoever_gets_the_address_of_one_that_went_is_not_that_one(void **state)
{
    (void)state;
    struct node n;
    open_node(&n);
    const struct thing *a = tell_pod(&n, "a", "a", "10.244.1.1");
    is_at(&n, a, "10.244.1.1");
    tell_all(&n.told, n.core, 10);
    assert_pass(&n, "1");
    policy_core_remove_pod(n.core, a->object->uid);
    CLEANUP_OBJECT struct object *young = make_object(
        &n.told,
        "{apiVersion: v1, kind: Pod, metadata: {name: young, namespace: default, uid: young, labels: {app: b}}, "
        "spec: {containers: [{name: c, image: i}]}}");
    policy_core_put_pod(n.core, young, address_of("10.244.1.1"), 0);
    assert_pass(&n, "");
    /* Two that masters know by one address: it is nobody's. */
    policy_core_remove_pod(n.core, young->uid);
    const struct thing *b = tell_pod(&n, "b", "b", "10.244.1.1");
    is_at(&n, a, "10.244.1.3");
    is_at(&n, b, "10.244.1.4");
    assert_pass(&n, "");
    close_node(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_kernel_has_is_what_the_policies_say),
        cmocka_unit_test(a_policy_that_allows_too_much_allows_a_part_of_it),
        cmocka_unit_test(who_has_another_address_than_before_is_let_in_from_there),
        cmocka_unit_test(pods_whose_addresses_were_exchanged_are_not_taken_for_each_other),
        cmocka_unit_test(what_was_told_of_an_address_counts_for_nobody_who_came_later),
        cmocka_unit_test(pods_that_exchange_addresses_are_let_in_when_it_is_known_who_is_who),
        cmocka_unit_test(whoever_gets_the_address_of_one_that_went_is_not_that_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
