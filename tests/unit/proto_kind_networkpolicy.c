/* Network policies for people: their columns and description. */
#include <stdlib.h>

#include "tests/unit/proto_kind_fixture.h"

#include "proto/describe/describe.h"

#define POLICY(spec)                                                                                                   \
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {" spec "}" \
    "}"

static void the_table_shows_whom_a_policy_selects(void **state)
{
    static const char *const rows[][2] = {
        {POLICY("podSelector: {}"), "<none>"},
        {POLICY(
             "podSelector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: In, values: [a, b]}]}"),
         "app=web,tier in (a,b)"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT;
        CLEANUP_OBJECT struct object *o = fixture_object(*state, rows[i][0]);
        assert_string_equal(o->kind->columns[1].title, "POD-SELECTOR");
        o->kind->columns[1].cell(&out, o, 0);
        assert_string_equal(buf_cstr(&out), rows[i][1]);
    }
}

static void assert_described(struct fixture *f, const char *yaml, const char *text)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    CLEANUP_OBJECT struct object *o = fixture_object(f, yaml);
    struct describe_context c = {.without_events = true};
    describe_object(&out, o, &c);
    const char *spec = strstr(buf_cstr(&out), "Spec:\n");
    assert_non_null(spec);
    assert_string_equal(spec, text);
}

static void a_policy_is_described_as_kubectl_does(void **state)
{
    assert_described(*state,
                     POLICY("podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress], ingress: [{from: "
                            "[{podSelector: {matchLabels: {app: front}}, namespaceSelector: {}}, {ipBlock: {cidr: "
                            "10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}}], ports: [{port: http, protocol: TCP}, "
                            "{port: 8000, endPort: 9000, protocol: UDP}, {protocol: SCTP}]}, {}]"),
                     "Spec:\n"
                     "  PodSelector:     app=web\n"
                     "  Allowing ingress traffic:\n"
                     "    To Port: http/TCP\n"
                     "    To Port: 8000-9000/UDP\n"
                     "    To Port: <any>/SCTP\n"
                     "    From:\n"
                     "      NamespaceSelector: <none>\n"
                     "      PodSelector: app=front\n"
                     "    From:\n"
                     "      IPBlock:\n"
                     "        CIDR: 10.0.0.0/8\n"
                     "        Except: 10.1.0.0/16, 10.2.0.0/16\n"
                     "    ----------\n"
                     "    To Port: <any> (traffic allowed to all ports)\n"
                     "    From: <any> (traffic not restricted by source)\n"
                     "  Allowing egress traffic:\n"
                     "    <none> (Selected pods are isolated for egress connectivity)\n"
                     "  Policy Types: Ingress, Egress\n");
    assert_described(*state, POLICY("podSelector: {}, policyTypes: [Egress], egress: [{}]"),
                     "Spec:\n"
                     "  PodSelector:     <none> (Allowing the specific traffic to all pods in this namespace)\n"
                     "  Not affecting ingress traffic\n"
                     "  Allowing egress traffic:\n"
                     "    To Port: <any> (traffic allowed to all ports)\n"
                     "    To: <any> (traffic not restricted by destination)\n"
                     "  Policy Types: Egress\n");
}

static void write_rules(struct buf *b, unsigned rules, unsigned each, const char *list, const char *item)
{
    buf_puts(b, "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web}, spec: {ingress: [");
    for (unsigned i = 0; i < rules; i++) {
        buf_printf(b, "%s{%s: [", i > 0 ? ", " : "", list);
        for (unsigned k = 0; k < each; k++) {
            buf_printf(b, "%s%s", k > 0 ? ", " : "", item);
        }
        buf_puts(b, "]}");
    }
    buf_puts(b, "]}}");
}

static void a_policy_has_so_many_peers_and_ports(void **state)
{
    static const struct {
        unsigned rules, each;
        const char *list, *item, *bad;
    } rows[] = {
        {4, 256, "from", "{podSelector: {}}", NULL},
        {5, 205, "from", "{podSelector: {}}", "Too many: 1025 peers in all rules: must have at most 1024"},
        {4, 1024, "ports", "{port: 80}", NULL},
        {5, 820, "ports", "{port: 80}", "Too many: 4100 ports in all rules: must have at most 4096"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        write_rules(&b, rows[i].rules, rows[i].each, rows[i].list, rows[i].item);
        if (rows[i].bad == NULL) {
            (void)fixture_good(*state, buf_cstr(&b));
        } else {
            fixture_bad(*state, buf_cstr(&b), rows[i].bad);
        }
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_table_shows_whom_a_policy_selects),
        T(a_policy_is_described_as_kubectl_does),
        T(a_policy_has_so_many_peers_and_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
