/* What names of the cluster stand for: each sentence of agent/dns/zone.h. */
#include "tests/unit/agent_service_kit.h"

#include "tests/unit/agent_known_kit.h"

#include "agent/dns/zone.h"
#include "proto/kinds/kinds.h"

struct fixture {
    struct known *known;
    struct zone zone;
    struct buf told;
};

static void on_put(const struct service_port *p, void *data)
{
    (void)p;
    (void)data;
}

static void on_remove(const char *key, void *data)
{
    (void)key;
    (void)data;
}

static void tell(struct fixture *f, const char *message)
{
    tell_known(f->known, message);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->known = known_new("n1", &(struct known_ops){on_put, on_remove, NULL, NULL, f});
    f->zone = (struct zone){.known = f->known, .domain = STR("cluster.local"), .server = 0x0a60000a};
    assert_true(cidr_parse(STR("10.96.0.0/12"), &f->zone.services));
    assert_true(cidr_parse(STR("10.244.0.0/16"), &f->zone.pods));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    known_free(f->known);
    buf_close(&f->told);
    free(f);
    return 0;
}

#define SERVICE(name, spec)                                                                                            \
    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'" name "','namespace':'default'},'spec':{" spec "}}"
#define SLICE(name, of, ports, endpoints)                                                                              \
    "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':'" name                             \
    "','namespace':'default','labels':{'kubernetes.io/service-name':'" of "'}},'addressType':'IPv4',"                  \
    "'ports':[" ports "],'endpoints':[" endpoints "]}"
#define PLACE(ip, more) "{'addresses':['" ip "']" more "}"
#define NOT_READY       ",'conditions':{'ready':false}"
#define TOLD(objects)   "{'whole':true,'complete':true,'changed':[" objects "]}"

#define WEB                                                                                                            \
    SERVICE("web", "'type':'ClusterIP','clusterIP':'10.96.0.7','ports':[{'name':'http','protocol':'TCP','port':80},"   \
                   "{'name':'dns','protocol':'UDP','port':53}]")
#define DB SERVICE("db", "'type':'ClusterIP','clusterIP':'None','ports':[{'name':'pg','port':5432}]")
#define DB_SLICE                                                                                                       \
    SLICE("db-1", "db", "{'name':'pg','port':5432}",                                                                   \
          PLACE("10.244.1.5", ",'hostname':'db-0'") "," PLACE("10.244.2.5", "") "," PLACE("10.244.2.6", NOT_READY))

static const char *word_of(unsigned type)
{
    return type == ZONE_A     ? "A"
           : type == ZONE_NS  ? "NS"
           : type == ZONE_SOA ? "SOA"
           : type == ZONE_PTR ? "PTR"
           : type == ZONE_TXT ? "TXT"
           : type == ZONE_SRV ? "SRV"
                              : "CNAME";
}

static void write_record(struct buf *out, const struct zone_record *r)
{
    uint32_t be = htonl(r->ip);
    buf_printf(out, "%s%.*s%s%s ", r->additional ? "+" : "", STR_ARG(r->owner), r->owner.n > 0 ? " " : "",
               word_of(r->type));
    if (r->type == ZONE_A) {
        buf_puts(out, address_text((const uint8_t *)&be));
    } else if (r->type == ZONE_SRV) {
        buf_printf(out, "%u %u %.*s", r->weight, r->port, STR_ARG(r->text));
    } else {
        buf_printf(out, "%.*s", STR_ARG(r->text));
    }
    buf_putc(out, '\n');
}

static void ask(struct fixture *f, const char *name, unsigned type, uint64_t dice, struct zone_answer *out,
                struct arena *a)
{
    struct str labels[ZONE_LABELS_MAX];
    unsigned count = 0;
    for (const char *at = name; *at != '\0';) {
        size_t n = strcspn(at, ".");
        labels[count++] = (struct str){at, n};
        at += n + (at[n] == '.');
    }
    zone_ask(&f->zone, labels, count, type, dice, a, out);
}

/* The order of endpoints is drawn: dice 0 draws the same each time. */
static void expect_answer(struct fixture *f, const char *name, unsigned type, const char *wanted)
{
    static const char *const words[] = {"elsewhere", "unknown", "no name", "no data", "", "alias "};
    struct zone_answer answer;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    ask(f, name, type, 0, &answer, &a);
    buf_reset(&f->told);
    buf_printf(&f->told, "%s%.*s%s", words[answer.result], STR_ARG(answer.elsewhere),
               answer.result == ZONE_ALIAS ? "\n" : "");
    for (const struct zone_record *r = answer.records; r != NULL; r = r->next) {
        write_record(&f->told, r);
    }
    assert_string_equal(buf_cstr(&f->told), wanted);
}

#define LOCAL ".svc.cluster.local"

static void before_anything_was_told_nothing_is_said(void **state)
{
    expect_answer(*state, "web.default" LOCAL, ZONE_A, "unknown");
    expect_answer(*state, "7.0.96.10.in-addr.arpa", ZONE_PTR, "unknown");
    expect_answer(*state, "example.com", ZONE_A, "elsewhere");
    expect_answer(*state, "dns-version.cluster.local", ZONE_TXT, "TXT 1.1.0\n");
}

static void a_service_has_its_address_and_no_other_types(void **state)
{
    tell(*state, TOLD(WEB));
    expect_answer(*state, "web.default" LOCAL, ZONE_A, "A 10.96.0.7\n");
    expect_answer(*state, "web.default" LOCAL, ZONE_ANY, "A 10.96.0.7\n");
    expect_answer(*state, "web.default" LOCAL, 28, "no data");
    expect_answer(*state, "web.default" LOCAL, ZONE_TXT, "no data");
    expect_answer(*state, "web.other" LOCAL, ZONE_A, "no name");
    expect_answer(*state, "nobody.default" LOCAL, ZONE_A, "no name");
    expect_answer(*state, "web.default.svc", ZONE_A, "elsewhere");
    expect_answer(*state, "web", ZONE_A, "elsewhere");
}

static void what_lies_between_names_exists(void **state)
{
    tell(*state, TOLD(WEB));
    expect_answer(*state, "cluster.local", ZONE_A, "no data");
    expect_answer(*state, "cluster.local", ZONE_NS, "NS ns.dns.cluster.local\n");
    expect_answer(*state, "cluster.local", ZONE_SOA, "SOA \n");
    expect_answer(*state, "ns.dns.cluster.local", ZONE_A, "A 10.96.0.10\n");
    expect_answer(*state, "svc.cluster.local", ZONE_A, "no data");
    expect_answer(*state, "pod.cluster.local", ZONE_A, "no data");
    expect_answer(*state, "default.svc.cluster.local", ZONE_A, "no data");
    expect_answer(*state, "other.svc.cluster.local", ZONE_A, "no name");
    expect_answer(*state, "_tcp.web.default" LOCAL, ZONE_A, "no data");
    expect_answer(*state, "_sctp.web.default" LOCAL, ZONE_A, "no name");
    expect_answer(*state, "default.cluster.local", ZONE_A, "no name");
    expect_answer(*state, "other.cluster.local", ZONE_A, "no name");
}

static void ports_with_names_are_places(void **state)
{
    tell(*state, TOLD(WEB));
    expect_answer(*state, "_http._tcp.web.default" LOCAL, ZONE_SRV,
                  "SRV 100 80 web.default" LOCAL "\n+web.default" LOCAL " A 10.96.0.7\n");
    expect_answer(*state, "_dns._udp.web.default" LOCAL, ZONE_SRV,
                  "SRV 100 53 web.default" LOCAL "\n+web.default" LOCAL " A 10.96.0.7\n");
    expect_answer(*state, "_http._udp.web.default" LOCAL, ZONE_SRV, "no name");
    expect_answer(*state, "_http._tcp.web.default" LOCAL, ZONE_A, "no data");
    expect_answer(*state, "_._tcp.web.default" LOCAL, ZONE_SRV, "no name");
    expect_answer(*state, "http._tcp.web.default" LOCAL, ZONE_SRV, "no name");
    expect_answer(*state, "x._http._tcp.web.default" LOCAL, ZONE_SRV, "no name");
}

static void ports_without_names_are_none(void **state)
{
    tell(*state, TOLD(SERVICE("one", "'clusterIP':'10.96.0.8','ports':[{'port':80}]")));
    expect_answer(*state, "__tcp.one.default" LOCAL, ZONE_SRV, "no name");
    expect_answer(*state, "_._tcp.one.default" LOCAL, ZONE_SRV, "no name");
    expect_answer(*state, "_tcp.one.default" LOCAL, ZONE_A, "no name");
}

static void a_headless_service_is_its_ready_endpoints(void **state)
{
    tell(*state, TOLD(DB_SLICE "," DB));
    expect_answer(*state, "db.default" LOCAL, ZONE_A, "A 10.244.1.5\nA 10.244.2.5\n");
    expect_answer(*state, "db.default" LOCAL, 28, "no data");
    expect_answer(*state, "db-0.db.default" LOCAL, ZONE_A, "A 10.244.1.5\n");
    expect_answer(*state, "10-244-2-5.db.default" LOCAL, ZONE_A, "A 10.244.2.5\n");
    expect_answer(*state, "10-244-1-5.db.default" LOCAL, ZONE_A, "no name"); /* it has a name */
    expect_answer(*state, "10-244-2-6.db.default" LOCAL, ZONE_A, "no name"); /* it is not ready */
    expect_answer(*state, "db-0.db.default" LOCAL, 28, "no data");
    expect_answer(*state, "_pg._tcp.db.default" LOCAL, ZONE_SRV,
                  "SRV 50 5432 db-0.db.default" LOCAL "\n+db-0.db.default" LOCAL " A 10.244.1.5\n"
                  "SRV 50 5432 10-244-2-5.db.default" LOCAL "\n+10-244-2-5.db.default" LOCAL " A 10.244.2.5\n");
    expect_answer(*state, "_tcp.db.default" LOCAL, ZONE_SRV, "no data");
}

static void a_headless_service_without_ready_endpoints_does_not_exist(void **state)
{
    tell(*state, TOLD(DB "," SLICE("db-1", "db", "{'name':'pg','port':5432}", PLACE("10.244.2.6", NOT_READY))));
    expect_answer(*state, "db.default" LOCAL, ZONE_A, "no name");
    expect_answer(*state, "db.default" LOCAL, 28, "no name");
    tell(*state, "{'changed':[" DB_SLICE "]}");
    expect_answer(*state, "db.default" LOCAL, ZONE_A, "A 10.244.1.5\nA 10.244.2.5\n");
}

/* What resolvers make of a name of elsewhere and their search list: only "no name" lets musl go on to the next
 * (kubernetes#64924, k3s#6561), whatever there is beside. */
static void names_of_elsewhere_with_a_search_path_are_no_names(void **state)
{
    static const char *const names[] = {"www.example.com.default" LOCAL, "www.example.com" LOCAL,
                                        "www.example.com.cluster.local", "web.default" LOCAL ".default" LOCAL,
                                        "example.com.db.default" LOCAL};
    static const unsigned types[] = {ZONE_A, 28, ZONE_SRV, ZONE_TXT};
    tell(*state, TOLD(DB "," DB_SLICE));
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        for (unsigned t = 0; t < ARRAY_SIZE(types); t++) {
            expect_answer(*state, names[i], types[t], "no name");
        }
    }
    expect_answer(*state, "www.example.com", ZONE_A, "elsewhere");
}

/* Each set of ports has a slice; an address is told once. */
static void an_endpoint_in_two_slices_is_one_address(void **state)
{
    tell(*state, TOLD(DB "," SLICE("db-1", "db", "{'name':'pg','port':5432}", PLACE("10.244.2.5", "")) "," SLICE(
                     "db-2", "db", "{'name':'admin','port':9}", PLACE("10.244.2.5", ""))));
    expect_answer(*state, "db.default" LOCAL, ZONE_A, "A 10.244.2.5\n");
    expect_answer(*state, "_admin._tcp.db.default" LOCAL, ZONE_SRV,
                  "SRV 100 9 10-244-2-5.db.default" LOCAL "\n+10-244-2-5.db.default" LOCAL " A 10.244.2.5\n");
}

static void the_order_of_endpoints_is_drawn(void **state)
{
    struct fixture *f = *state;
    unsigned first = 0;
    tell(f, TOLD(DB_SLICE "," DB));
    for (uint64_t dice = 1; dice <= 1000; dice++) {
        struct zone_answer answer;
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        ask(f, "db.default" LOCAL, ZONE_A, dice * 0x9e3779b97f4a7c15ull, &answer, &a);
        assert_int_equal(answer.count, 2);
        first += answer.records->ip == 0x0af40105;
    }
    assert_in_range(first, 400, 600);
}

static void an_alias_leads_out_of_the_zone_or_is_followed(void **state)
{
    tell(*state, TOLD(WEB "," SERVICE("out", "'type':'ExternalName','externalName':'WWW.Example.com.'") "," SERVICE(
                     "in", "'type':'ExternalName','externalName':'web.default" LOCAL
                           "'") "," SERVICE("gone", "'type':'ExternalName','externalName':'nobody.default" LOCAL "'")));
    expect_answer(*state, "out.default" LOCAL, ZONE_A, "alias www.example.com\nCNAME www.example.com\n");
    expect_answer(*state, "out.default" LOCAL, 28, "alias www.example.com\nCNAME www.example.com\n");
    expect_answer(*state, "out.default" LOCAL, ZONE_CNAME, "CNAME www.example.com\n");
    expect_answer(*state, "in.default" LOCAL, ZONE_A, "CNAME web.default" LOCAL "\nweb.default" LOCAL " A 10.96.0.7\n");
    expect_answer(*state, "in.default" LOCAL, 28, "CNAME web.default" LOCAL "\n");
    expect_answer(*state, "gone.default" LOCAL, ZONE_A, "CNAME nobody.default" LOCAL "\n");
    expect_answer(*state, "x.out.default" LOCAL, ZONE_A, "no name");
}

static void aliases_that_lead_to_one_another_end(void **state)
{
    struct fixture *f = *state;
    struct zone_answer answer;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    tell(f, TOLD(SERVICE("a", "'type':'ExternalName','externalName':'b.default" LOCAL
                              "'") "," SERVICE("b", "'type':'ExternalName','externalName':'a.default" LOCAL "'")));
    ask(f, "a.default" LOCAL, ZONE_A, 0, &answer, &a);
    assert_int_equal(answer.result, ZONE_FOUND);
    assert_int_equal(answer.count, ZONE_ALIASES_MAX + 1);
}

static void addresses_of_pods_have_names(void **state)
{
    tell(*state, TOLD(WEB));
    expect_answer(*state, "10-244-3-9.default.pod.cluster.local", ZONE_A, "A 10.244.3.9\n");
    expect_answer(*state, "10-244-3-9.default.pod.cluster.local", 28, "no data");
    expect_answer(*state, "10-96-3-9.default.pod.cluster.local", ZONE_A, "no name");
    expect_answer(*state, "10-244-3-999.default.pod.cluster.local", ZONE_A, "no name");
    expect_answer(*state, "10.244-3-9.default.pod.cluster.local", ZONE_A, "no name");
    expect_answer(*state, "default.pod.cluster.local", ZONE_A, "no data");
}

static enum zone_pod pod_of(uint32_t ip, struct str ns, void *data)
{
    (void)data;
    return ip == 0x0af40309      ? str_is(ns, "default") ? ZONE_POD_THERE : ZONE_POD_NONE
           : ip == 0xc0a80701    ? ZONE_POD_THERE /* on the network of its node */
           : ip >> 8 == 0x0af403 ? ZONE_POD_NONE
                                 : ZONE_POD_MAYBE;
}

static void names_of_pods_that_are_not_there_do_not_exist(void **state)
{
    struct fixture *f = *state;
    tell(f, TOLD(WEB));
    f->zone.pod_of = pod_of;
    expect_answer(f, "10-244-3-9.default.pod.cluster.local", ZONE_A, "A 10.244.3.9\n");
    expect_answer(f, "10-244-3-9.other.pod.cluster.local", ZONE_A, "no name");
    expect_answer(f, "10-244-3-8.default.pod.cluster.local", ZONE_A, "no name");
    expect_answer(f, "10-244-4-8.default.pod.cluster.local", ZONE_A, "A 10.244.4.8\n");
    expect_answer(f, "192-168-7-1.default.pod.cluster.local", ZONE_A, "A 192.168.7.1\n");
    expect_answer(f, "9-9-9-9.default.pod.cluster.local", ZONE_A, "no name");
}

static void addresses_lead_back_to_names(void **state)
{
    tell(*state, TOLD(WEB "," DB "," DB_SLICE));
    expect_answer(*state, "7.0.96.10.in-addr.arpa", ZONE_PTR, "PTR web.default" LOCAL "\n");
    expect_answer(*state, "7.0.96.10.in-addr.arpa", ZONE_A, "no data");
    expect_answer(*state, "10.0.96.10.in-addr.arpa", ZONE_PTR, "PTR ns.dns.cluster.local\n");
    expect_answer(*state, "5.1.244.10.in-addr.arpa", ZONE_PTR, "PTR db-0.db.default" LOCAL "\n");
    expect_answer(*state, "5.2.244.10.in-addr.arpa", ZONE_PTR, "no name"); /* no name of its own */
    expect_answer(*state, "9.9.96.10.in-addr.arpa", ZONE_PTR, "no name");
    expect_answer(*state, "9.9.97.10.in-addr.arpa", ZONE_PTR, "no name");
    expect_answer(*state, "97.10.in-addr.arpa", ZONE_PTR, "no data");
    expect_answer(*state, "10.in-addr.arpa", ZONE_PTR, "elsewhere"); /* not all of it is ours */
    expect_answer(*state, "4.3.2.1.in-addr.arpa", ZONE_PTR, "elsewhere");
    expect_answer(*state, "007.0.96.10.in-addr.arpa", ZONE_PTR, "elsewhere");
    expect_answer(*state, "x.0.96.10.in-addr.arpa", ZONE_PTR, "elsewhere");
    expect_answer(*state, "1.7.0.96.10.in-addr.arpa", ZONE_PTR, "elsewhere");
}

static void what_is_gone_has_no_name(void **state)
{
    tell(*state, TOLD(WEB "," DB "," DB_SLICE));
    tell(*state, "{'gone':[{'kind':'Service','namespace':'default','name':'web'},"
                 "{'kind':'EndpointSlice','namespace':'default','name':'db-1'}]}");
    expect_answer(*state, "web.default" LOCAL, ZONE_A, "no name");
    expect_answer(*state, "7.0.96.10.in-addr.arpa", ZONE_PTR, "no name");
    expect_answer(*state, "5.1.244.10.in-addr.arpa", ZONE_PTR, "no name");
    expect_answer(*state, "db.default" LOCAL, ZONE_A, "no name");
    expect_answer(*state, "default.svc.cluster.local", ZONE_A, "no data");
    tell(*state, "{'gone':[{'kind':'Service','namespace':'default','name':'db'}]}");
    expect_answer(*state, "default.svc.cluster.local", ZONE_A, "no name");
    tell(*state, TOLD(WEB));
    tell(*state, TOLD(DB)); /* the whole without it */
    expect_answer(*state, "web.default" LOCAL, ZONE_A, "no name");
    expect_answer(*state, "7.0.96.10.in-addr.arpa", ZONE_PTR, "no name");
}

static void an_address_that_changes_hands_leads_to_its_new_owner(void **state)
{
    tell(*state, TOLD(SERVICE("a", "'clusterIP':'10.96.0.7'")));
    tell(*state,
         "{'changed':[" SERVICE("b", "'clusterIP':'10.96.0.7'") "," SERVICE("a", "'clusterIP':'10.96.0.8'") "]}");
    expect_answer(*state, "7.0.96.10.in-addr.arpa", ZONE_PTR, "PTR b.default" LOCAL "\n");
    expect_answer(*state, "8.0.96.10.in-addr.arpa", ZONE_PTR, "PTR a.default" LOCAL "\n");
}

/* Whatever a name says of itself, it is only compared. */
static void labels_of_any_bytes_are_no_names(void **state)
{
    struct fixture *f = *state;
    struct str labels[] = {{"w.b", 3}, {"\0\xff", 2}, STR("svc"), STR("cluster"), STR("local")};
    struct zone_answer answer;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    tell(f, TOLD(WEB));
    zone_ask(&f->zone, labels, ARRAY_SIZE(labels), ZONE_A, 0, &a, &answer);
    assert_int_equal(answer.result, ZONE_NO_NAME);
    struct str joined[] = {STR("default/web"), STR("svc"), STR("cluster"), STR("local")};
    zone_ask(&f->zone, joined, ARRAY_SIZE(joined), ZONE_A, 0, &a, &answer);
    assert_int_equal(answer.result, ZONE_NO_NAME);
    struct str slashed[] = {STR("web"), STR("x/default"), STR("svc"), STR("cluster"), STR("local")};
    zone_ask(&f->zone, slashed, ARRAY_SIZE(slashed), ZONE_A, 0, &a, &answer);
    assert_int_equal(answer.result, ZONE_NO_NAME);
    zone_ask(&f->zone, labels, 0, ZONE_A, 0, &a, &answer);
    assert_int_equal(answer.result, ZONE_ELSEWHERE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(before_anything_was_told_nothing_is_said),
        T(a_service_has_its_address_and_no_other_types),
        T(what_lies_between_names_exists),
        T(ports_with_names_are_places),
        T(ports_without_names_are_none),
        T(a_headless_service_is_its_ready_endpoints),
        T(a_headless_service_without_ready_endpoints_does_not_exist),
        T(names_of_elsewhere_with_a_search_path_are_no_names),
        T(an_endpoint_in_two_slices_is_one_address),
        T(the_order_of_endpoints_is_drawn),
        T(an_alias_leads_out_of_the_zone_or_is_followed),
        T(aliases_that_lead_to_one_another_end),
        T(addresses_of_pods_have_names),
        T(names_of_pods_that_are_not_there_do_not_exist),
        T(addresses_lead_back_to_names),
        T(what_is_gone_has_no_name),
        T(an_address_that_changes_hands_leads_to_its_new_owner),
        T(labels_of_any_bytes_are_no_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
