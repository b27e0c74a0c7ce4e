/* Addresses of services and node ports: what is given, what is refused, and that nothing is given twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controllers/services/allocate.h"
#include "proto/facts/cluster.h"
#include "proto/schema/release.h"
#include "proto/text/text.h"
#include "raft-store/store/view_edit.h"
#include "raft-store/store/world.h"
#include "tests/unit/raft-store_help.h"

struct setup {
    struct fake_env env;
    struct world *w;
    struct rng rng;
    struct arena arena;
    struct error err;
};

static int set_up(void **state)
{
    struct setup *f = xcalloc(1, sizeof *f);
    fake_init(&f->env, 3);
    f->rng.state = 7;
    f->w = world_new(NULL, &f->env.env, release.level);
    arena_init(&f->arena);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct setup *f = *state;
    world_free(f->w);
    arena_close(&f->arena);
    free(f);
    return 0;
}

static struct value *document(struct setup *f, const char *yaml)
{
    struct value **docs;
    unsigned count;
    must(yaml_read(&f->arena, str_of(yaml), NULL, &docs, &count, &f->err), &f->err);
    const struct kind *k = kind_of_document(&f->arena, docs[0], &f->err);
    assert_non_null(k);
    must(kind_check(k, &f->arena, docs[0], NULL, 0, &f->err), &f->err);
    return docs[0];
}

static struct value *service(struct setup *f, const char *name, const char *spec)
{
    return document(
        f, arena_printf(&f->arena, "{apiVersion: v1, kind: Service, metadata: {name: %s}, spec: {%s}}", name, spec));
}

static int give(struct setup *f, struct claims *c, const struct value *old, struct value *doc)
{
    struct claims own;
    claims_init(&own, NULL);
    f->err = (struct error){0};
    const struct allocate al = {
        .view = world_view(f->w), .claims = c != NULL ? c : &own, .arena = &f->arena, .rng = &f->rng};
    int rv = service_allocate(&al, old, doc, &f->err);
    claims_close(&own);
    return rv;
}

static void store(struct setup *f, const struct value *doc, bool update)
{
    struct txn t;
    struct txn_result r;
    txn_init(&t, "test");
    const struct kind *k = kind_by_name(value_to_str(value_get(doc, "kind")));
    must(update ? txn_update_value(&t, k, doc, TXN_PART_ALL, 0, &f->err) : txn_create_value(&t, k, doc, &f->err),
         &f->err);
    must(world_eval(f->w, &t, &r, &f->err), &f->err);
    view_check(world_view(f->w));
    txn_close(&t);
}

/* Made as the master does it; the document as it is stored. */
static struct value *make(struct setup *f, const char *name, const char *spec)
{
    struct value *doc = service(f, name, spec);
    must(give(f, NULL, NULL, doc), &f->err);
    store(f, doc, false);
    return doc;
}

static void refused(struct setup *f, const char *spec, const char *why)
{
    int rv = give(f, NULL, NULL, service(f, "late", spec));
    assert_true(rv == ERR_INVALID || rv == ERR_FORBIDDEN);
    if (strstr(f->err.message, why) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", f->err.message, why);
    }
}

static void configure(struct setup *f, const char *networking)
{
    store(f,
          document(f, arena_printf(&f->arena,
                                   "{apiVersion: reeve.io/v1, kind: ClusterConfiguration, metadata: {name: cluster}, "
                                   "spec: {networking: {%s}}}",
                                   networking)),
          false);
}

#define PORT80 "ports: [{port: 80}]"

static void a_service_gets_an_address_of_the_upper_part(void **state)
{
    struct setup *f = *state;
    struct cidr range = {0}, ip;
    assert_true(cidr_parse(STR(CLUSTER_SERVICE_SUBNET), &range));
    for (unsigned i = 0; i < 50; i++) {
        struct value *doc = make(f, arena_printf(&f->arena, "s%u", i), PORT80);
        struct str text = value_path_str(doc, "spec.clusterIP");
        assert_true(cidr_parse(str_of(arena_printf(&f->arena, "%.*s/32", STR_ARG(text))), &ip));
        assert_true(ip.first > range.first + 256 && ip.first < cidr_end(range) - 1);
        assert_true(str_eq(value_to_str(value_item(value_path(doc, "spec.clusterIPs"), 0)), text));
        assert_null(value_get(value_item(value_path(doc, "spec.ports"), 0), "nodePort"));
    }
}

static void what_is_asked_for_is_given_or_refused(void **state)
{
    struct setup *f = *state;
    make(f, "web", "type: NodePort, clusterIP: 10.96.0.10, ports: [{port: 80, nodePort: 30080}]");
    refused(f, "clusterIP: 10.96.0.10, " PORT80,
            "Service \"late\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.10\"]: failed to allocate IP "
            "10.96.0.10: provided IP is already allocated");
    refused(f, "clusterIP: 10.8.0.1, " PORT80, "not in the valid range. The range of valid IPs is 10.96.0.0/12");
    refused(f, "clusterIP: 10.96.0.0, " PORT80, "not in the valid range");
    refused(f, "clusterIP: 10.111.255.255, " PORT80, "not in the valid range");
    refused(f, "type: NodePort, ports: [{port: 81, nodePort: 30080}]",
            "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated");
    refused(f, "type: NodePort, ports: [{port: 81, nodePort: 80}]",
            "Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767");
    refused(f, "type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 30080, " PORT80,
            "spec.healthCheckNodePort: Invalid value: 30080: provided port is already allocated");
    /* another protocol is another port */
    make(f, "dns", "type: NodePort, ports: [{port: 80, nodePort: 30080, protocol: UDP}]");
    assert_int_equal(view_count(world_view(f->w), kind_by_id(KIND_SERVICE)), 2);
}

static void types_get_what_they_need(void **state)
{
    struct setup *f = *state;
    struct value *name = make(f, "name", "type: ExternalName, externalName: a.b");
    assert_null(value_path(name, "spec.clusterIP"));
    struct value *headless = make(f, "headless", "clusterIP: None, " PORT80);
    assert_true(str_is(value_path_str(headless, "spec.clusterIP"), "None"));
    struct value *both = make(f, "both",
                              "type: NodePort, ports: [{name: a, port: 53}, {name: b, port: 53, protocol: UDP}, {name: "
                              "c, port: 54}]");
    const struct value *ports = value_path(both, "spec.ports");
    int64_t a = value_path_int(value_item(ports, 0), "nodePort", 0),
            b = value_path_int(value_item(ports, 1), "nodePort", 0),
            c = value_path_int(value_item(ports, 2), "nodePort", 0);
    assert_true(a == b && c != a && a >= 30000 + 86 && a <= 32767 && c >= 30000 + 86);
    struct value *bare = make(f, "bare", "type: LoadBalancer, allocateLoadBalancerNodePorts: false, " PORT80);
    assert_null(value_get(value_item(value_path(bare, "spec.ports"), 0), "nodePort"));
    struct value *local = make(f, "local", "type: LoadBalancer, externalTrafficPolicy: Local, " PORT80);
    int64_t health = value_path_int(local, "spec.healthCheckNodePort", 0);
    assert_true(health >= 30000 &&
                health != value_path_int(value_item(value_path(local, "spec.ports"), 0), "nodePort", 0));
}

static void a_full_range_says_so_until_something_is_given_back(void **state)
{
    struct setup *f = *state;
    configure(f, "serviceSubnet: 10.9.0.0/28, serviceNodePortRange: 31000-31003");
    for (unsigned i = 0; i < 13; i++) {
        make(f, arena_printf(&f->arena, "s%u", i), PORT80);
    }
    refused(f, PORT80, "the range 10.9.0.0/28 is full");
    make(f, "names", "clusterIP: 10.9.0.10, " PORT80); /* the name server's address: for who asks for it */
    for (unsigned i = 0; i < 4; i++) { /* an update takes ports, and gives them back */
        struct value *doc =
            object_to_value(&f->arena, view_get(world_view(f->w), kind_by_id(KIND_SERVICE), STR("default"),
                                                str_of(arena_printf(&f->arena, "s%u", i))));
        value_set(&f->arena, value_get(doc, "spec"), "type", value_cstr(&f->arena, "NodePort"));
        must(give(f, NULL, doc, doc), &f->err);
        store(f, doc, true);
    }
    struct value *doc =
        object_to_value(&f->arena, view_get(world_view(f->w), kind_by_id(KIND_SERVICE), STR("default"), STR("s9")));
    value_set(&f->arena, value_get(doc, "spec"), "type", value_cstr(&f->arena, "NodePort"));
    assert_int_equal(give(f, NULL, NULL, doc), ERR_FORBIDDEN);
    assert_non_null(strstr(f->err.message, "the range 31000-31003 is full"));
    struct txn t;
    struct txn_result r;
    txn_init(&t, "test");
    txn_delete(&t, view_get(world_view(f->w), kind_by_id(KIND_SERVICE), STR("default"), STR("s2")));
    must(world_eval(f->w, &t, &r, &f->err), &f->err);
    txn_close(&t);
    make(f, "again", "type: NodePort, " PORT80);
}

static void one_transaction_claims_nothing_twice(void **state)
{
    struct setup *f = *state;
    configure(f, "serviceSubnet: 10.9.0.0/26, serviceNodePortRange: 31000-31039");
    struct value *old = make(f, "old", "type: NodePort, clusterIP: 10.9.0.5, ports: [{port: 80, nodePort: 31005}]");
    (void)old;
    struct txn t;
    struct claims c;
    txn_init(&t, "test");
    claims_init(&c, &t);
    txn_delete(&t, view_get(world_view(f->w), kind_by_id(KIND_SERVICE), STR("default"), STR("old")));
    struct value *heir =
        service(f, "heir", "type: NodePort, clusterIP: 10.9.0.5, ports: [{port: 80, nodePort: 31005}]");
    must(give(f, &c, NULL, heir), &f->err); /* what the transaction gives back is free in it */
    must(txn_create_value(&t, kind_by_id(KIND_SERVICE), heir, &f->err), &f->err);
    assert_int_equal(give(f, &c, NULL, service(f, "x", "clusterIP: 10.9.0.5, " PORT80)), ERR_INVALID);
    for (unsigned i = 0; i < 39; i++) {
        struct value *doc = service(f, arena_printf(&f->arena, "s%u", i), "type: NodePort, " PORT80);
        must(give(f, &c, NULL, doc), &f->err);
        must(txn_create_value(&t, kind_by_id(KIND_SERVICE), doc, &f->err), &f->err);
    }
    assert_int_equal(give(f, &c, NULL, service(f, "x", "type: NodePort, " PORT80)), ERR_FORBIDDEN);
    struct txn_result r;
    must(world_eval(f->w, &t, &r, &f->err), &f->err);
    claims_close(&c);
    txn_close(&t);
    struct strmap seen;
    strmap_init(&seen);
    struct view_iter it;
    view_iter(&it, world_view(f->w), kind_by_id(KIND_SERVICE), STR_NONE);
    VIEW_FOR(o, &it)
    {
        struct mp_iter port = mp_iter(mp_path(object_mp(o), "spec.ports"));
        assert_true(mp_next(&port));
        const char *number = arena_printf(&f->arena, "%d", (int)mp_int(mp_get(port.value, "nodePort"), 0));
        assert_null(strmap_set(&seen, mp_str(mp_path(object_mp(o), "spec.clusterIP")), f));
        assert_null(strmap_set(&seen, str_of(number), f));
    }
    assert_int_equal(seen.count, 80);
    strmap_close(&seen);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_service_gets_an_address_of_the_upper_part),
        TEST(what_is_asked_for_is_given_or_refused),
        TEST(types_get_what_they_need),
        TEST(a_full_range_says_so_until_something_is_given_back),
        TEST(one_transaction_claims_nothing_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
