/* Services and where they lead: cells of tables, and what an update keeps. */
#include <stdlib.h>

#include "tests/unit/proto_kind_fixture.h"

static void assert_cell(const struct object *o, const char *title, const char *expected)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    for (unsigned i = 0; i < o->kind->columns_count; i++) {
        if (strcmp(o->kind->columns[i].title, title) == 0) {
            o->kind->columns[i].cell(&out, o, 0);
            assert_string_equal(buf_cstr(&out), expected);
            return;
        }
    }
    fail_msg("no column %s", title);
}

#define SERVICE(spec) "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {" spec "}}"

static void services_show_their_addresses_and_ports(void **state)
{
    static const struct {
        const char *yaml, *type, *ip, *external, *ports, *selector;
    } rows[] = {
        {SERVICE("type: ClusterIP, clusterIP: 10.96.0.1, selector: {a: b, c: d}, ports: [{port: 80, protocol: TCP}]"),
         "ClusterIP", "10.96.0.1", "<none>", "80/TCP", "a=b,c=d"},
        {SERVICE("type: NodePort, clusterIP: 10.96.0.1, externalIPs: [192.0.2.1, 192.0.2.2], ports: [{port: 80, "
                 "protocol: TCP, nodePort: 30080}, {port: 53, protocol: UDP, nodePort: 30053}]"),
         "NodePort", "10.96.0.1", "192.0.2.1,192.0.2.2", "80:30080/TCP,53:30053/UDP", "<none>"},
        {SERVICE("type: LoadBalancer, clusterIP: 10.96.0.1, ports: [{port: 80, protocol: TCP}]"), "LoadBalancer",
         "10.96.0.1", "<pending>", "80/TCP", "<none>"},
        {"{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: LoadBalancer}, status: {loadBalancer: "
         "{ingress: [{ip: 192.0.2.9}, {hostname: lb.example.com}]}}}",
         "LoadBalancer", "<none>", "192.0.2.9,lb.example.com", "<none>", "<none>"},
        {SERVICE("type: ExternalName, externalName: db.example.com"), "ExternalName", "<none>", "db.example.com",
         "<none>", "<none>"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_OBJECT struct object *o = fixture_object(*state, rows[i].yaml);
        assert_cell(o, "TYPE", rows[i].type);
        assert_cell(o, "CLUSTER-IP", rows[i].ip);
        assert_cell(o, "EXTERNAL-IP", rows[i].external);
        assert_cell(o, "PORT(S)", rows[i].ports);
        assert_cell(o, "SELECTOR", rows[i].selector);
    }
}

static void endpoints_show_the_first_three(void **state)
{
    CLEANUP_OBJECT struct object *none = fixture_object(*state, "{apiVersion: v1, kind: Endpoints, metadata: {name: "
                                                                "web}}");
    assert_cell(none, "ENDPOINTS", "<none>");
    CLEANUP_OBJECT struct object *few = fixture_object(
        *state, "{apiVersion: v1, kind: Endpoints, metadata: {name: web}, subsets: [{addresses: [{ip: 10.0.0.1}, {ip: "
                "10.0.0.2}], notReadyAddresses: [{ip: 10.0.0.9}], ports: [{port: 80}]}]}");
    assert_cell(few, "ENDPOINTS", "10.0.0.1:80,10.0.0.2:80");
    CLEANUP_OBJECT struct object *many = fixture_object(
        *state, "{apiVersion: v1, kind: Endpoints, metadata: {name: web}, subsets: [{addresses: [{ip: 10.0.0.1}, {ip: "
                "10.0.0.2}], ports: [{name: a, port: 80}, {name: b, port: 81}]}, {addresses: [{ip: 10.0.0.3}]}]}");
    assert_cell(many, "ENDPOINTS", "10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 2 more...");
}

static void slices_show_ports_and_places(void **state)
{
    CLEANUP_OBJECT struct object *none = fixture_object(
        *state, "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1}, addressType: IPv4}");
    assert_cell(none, "ADDRESSTYPE", "IPv4");
    assert_cell(none, "PORTS", "<unset>");
    assert_cell(none, "ENDPOINTS", "<unset>");
    CLEANUP_OBJECT struct object *some = fixture_object(
        *state,
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1}, addressType: IPv4, endpoints: "
        "[{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}, {addresses: [10.0.0.3]}, {addresses: [10.0.0.4]}], ports: "
        "[{name: a, port: 80}, {name: b}]}");
    assert_cell(some, "PORTS", "80,*");
    assert_cell(some, "ENDPOINTS", "10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...");
}

/* ---- Updates ---- */

/* What replacing one Service by another makes of its spec. */
static const struct value *kept(struct fixture *f, const char *before, const char *after)
{
    struct value *old = fixture_good(f, before), *doc = fixture_read(f, after);
    kind_by_id(KIND_SERVICE)->keep(&f->arena, doc, old);
    if (fixture_check_value(f, doc, old) != 0) {
        fail_msg("%s", f->err.message);
    }
    return value_get(doc, "spec");
}

#define NODE_PORTS                                                                                                     \
    SERVICE("type: NodePort, clusterIP: 10.96.0.1, ports: [{name: a, port: 80, nodePort: 30080}, {name: b, port: 53, " \
            "protocol: UDP, nodePort: 30053}]")

static void a_manifest_that_does_not_speak_of_them_keeps_address_and_node_ports(void **state)
{
    const struct value *spec = kept(
        *state, NODE_PORTS,
        SERVICE("type: NodePort, ports: [{name: b, port: 53, protocol: UDP}, {name: c, port: 80, nodePort: 30081}, "
                "{name: d, port: 53}]"));
    assert_true(str_is(value_path_str(spec, "clusterIP"), "10.96.0.1"));
    assert_int_equal(value_count(value_get(spec, "clusterIPs")), 1);
    const struct value *ports = value_get(spec, "ports");
    assert_int_equal(value_path_int(value_item(ports, 0), "nodePort", 0), 30053);
    assert_int_equal(value_path_int(value_item(ports, 1), "nodePort", 0), 30081);
    assert_null(value_get(value_item(ports, 2), "nodePort")); /* TCP is another port */
}

static void another_type_gives_back_what_it_does_not_have(void **state)
{
    const struct value *plain =
        kept(*state, NODE_PORTS,
             SERVICE("clusterIP: 10.96.0.1, externalTrafficPolicy: Cluster, ports: [{name: a, port: 80, nodePort: "
                     "30080}, {name: b, port: 53, protocol: UDP, nodePort: 30053}]"));
    assert_true(str_is(value_path_str(plain, "clusterIP"), "10.96.0.1"));
    assert_null(value_get(plain, "externalTrafficPolicy"));
    assert_null(value_get(value_item(value_get(plain, "ports"), 0), "nodePort"));
    const struct value *name = kept(
        *state, SERVICE("clusterIP: 10.96.0.1, ports: [{port: 80}]"),
        SERVICE("type: ExternalName, externalName: a.b, clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ipFamilies: "
                "[IPv4], ipFamilyPolicy: SingleStack, internalTrafficPolicy: Cluster"));
    assert_null(value_get(name, "clusterIP"));
    assert_null(value_get(name, "clusterIPs"));
    assert_null(value_get(name, "ipFamilies"));
    const struct value *balanced =
        kept(*state,
             SERVICE("type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 30001, clusterIP: "
                     "10.96.0.1, ports: [{port: 80}]"),
             SERVICE("type: LoadBalancer, externalTrafficPolicy: Local, ports: [{port: 80}]"));
    assert_int_equal(value_path_int(balanced, "healthCheckNodePort", 0), 30001);
}

static void a_document_of_wrong_types_is_left_to_the_check(void **state)
{
    struct fixture *f = *state;
    static const char *const odd[] = {
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: 3}",
        SERVICE("type: 4, clusterIP: [], clusterIPs: 3, ports: {a: b}"),
        SERVICE("type: NodePort, ports: [3, {port: x, nodePort: []}, {port: 80}]"),
    };
    for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
        struct value *doc = fixture_read(f, odd[i]);
        kind_by_id(KIND_SERVICE)->keep(&f->arena, doc, fixture_good(f, NODE_PORTS));
        assert_int_equal(fixture_check_value(f, doc, fixture_good(f, NODE_PORTS)), ERR_INVALID);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(services_show_their_addresses_and_ports),
        TEST(endpoints_show_the_first_three),
        TEST(slices_show_ports_and_places),
        TEST(a_manifest_that_does_not_speak_of_them_keeps_address_and_node_ports),
        TEST(another_type_gives_back_what_it_does_not_have),
        TEST(a_document_of_wrong_types_is_left_to_the_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
