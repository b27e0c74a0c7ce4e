/* Messages of node.services, and the ports that come of them. */
#include "tests/unit/agent_service_kit.h"

#include "tests/unit/agent_known_kit.h"

#include "agent/service/known.h"
#include "proto/kinds/kinds.h"

struct fixture {
    struct known *known;
    struct buf told;
};

static void write_ip(struct buf *out, const char *what, uint32_t ip)
{
    uint32_t be = htonl(ip);
    buf_printf(out, " %s%s", what, address_text((const uint8_t *)&be));
}

/* The port as a line. */
static void on_put(const struct service_port *p, void *data)
{
    struct buf *out = &((struct fixture *)data)->told;
    buf_printf(out, "%s %s", p->key, p->protocol == IPPROTO_UDP ? "udp" : "tcp");
    write_ip(out, "", p->cluster_ip);
    buf_printf(out, ":%u", p->port);
    if (p->node_port != 0) {
        buf_printf(out, " node %u", p->node_port);
    }
    for (unsigned i = 0; i < p->external_ips_count; i++) {
        write_ip(out, "external ", p->external_ips[i]);
    }
    for (unsigned i = 0; i < p->balancers_count; i++) {
        write_ip(out, "balancer ", p->balancers[i]);
    }
    for (unsigned i = 0; i < p->sources_count; i++) {
        char text[CIDR_TEXT_SIZE];
        cidr_text(p->sources[i], text);
        buf_printf(out, " from %s", text);
    }
    if (p->affinity_s > 0) {
        buf_printf(out, " sticks %us", p->affinity_s);
    }
    buf_puts(out, p->internal_local ? " internal-local" : "");
    buf_puts(out, p->external_local ? " external-local" : "");
    for (unsigned i = 0; i < p->endpoints_count; i++) {
        const struct service_endpoint *e = &p->endpoints[i];
        write_ip(out, "-> ", e->ip);
        buf_printf(out, ":%u%s%s%s%s", e->port, e->ready ? " ready" : "", e->serving && !e->ready ? " serving" : "",
                   e->terminating ? " terminating" : "", e->local ? " here" : "");
    }
    buf_putc(out, '\n');
}

static void on_remove(const char *key, void *data)
{
    buf_printf(&((struct fixture *)data)->told, "remove %s\n", key);
}

static void on_complete(void *data)
{
    buf_puts(&((struct fixture *)data)->told, "complete\n");
}

static void on_health(const char *name, uint16_t port, unsigned here, void *data)
{
    buf_printf(&((struct fixture *)data)->told, "health %s %u %u\n", name, port, here);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->known = known_new("n1", &(struct known_ops){on_put, on_remove, on_complete, on_health, f});
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

/* The message, written with ' for ". */
static void expect_told(struct fixture *f, const char *message, const char *wanted)
{
    buf_reset(&f->told);
    tell_known(f->known, message);
    assert_string_equal(buf_cstr(&f->told), wanted);
}

#define WEB(more)                                                                                                      \
    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','namespace':'default'},"                             \
    "'spec':{'clusterIP':'10.96.0.7','type':'ClusterIP'" more "}}"
#define PORTS ",'ports':[{'name':'http','protocol':'TCP','port':80,'targetPort':'web'}]"
#define SLICE(name, port, endpoints)                                                                                   \
    "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':'" name                             \
    "','namespace':'default','labels':{'kubernetes.io/service-name':'web'}},'addressType':'IPv4',"                     \
    "'ports':[{'name':'http','protocol':'TCP','port':" port "}],'endpoints':[" endpoints "]}"
#define PLACE(ip, node, conditions) "{'addresses':['" ip "'],'nodeName':'" node "','conditions':{" conditions "}}"
#define FOR(ip, node, conditions, zone)                                                                                \
    "{'addresses':['" ip "'],'nodeName':'" node "','conditions':{" conditions "},'hints':{'forZones':[{'name':'" zone  \
    "'}]}}"
#define READY  "'ready':true,'serving':true,'terminating':false"
#define DRAINS "'ready':false,'serving':true,'terminating':true"

static void a_port_has_the_places_of_all_its_slices(void **state)
{
    expect_told(
        *state,
        "{'whole':true,'complete':true,'changed':[" SLICE("web-1", "8080", PLACE("10.1.1.1", "n1", READY)) "," WEB(
            PORTS) "," SLICE("web-2", "8081", PLACE("10.1.2.1", "n2", DRAINS) "," PLACE("10.1.2.2", "n2", "")) "]}",
        "default/web:http tcp 10.96.0.7:80 -> 10.1.1.1:8080 ready here "
        "-> 10.1.2.1:8081 serving terminating -> 10.1.2.2:8081 ready\n"
        "complete\n");
}

static void nothing_is_told_until_all_is_known(void **state)
{
    expect_told(*state, "{'whole':true,'changed':[" WEB(PORTS) "]}", "");
    expect_told(*state, "{'complete':true,'changed':[" SLICE("web-1", "8080", PLACE("10.1.1.1", "n1", READY)) "]}",
                "default/web:http tcp 10.96.0.7:80 -> 10.1.1.1:8080 ready here\ncomplete\n");
}

static void what_a_new_whole_lacks_is_gone(void **state)
{
    expect_told(*state, "{'whole':true,'complete':true,'changed':[" WEB(PORTS) "]}",
                "default/web:http tcp 10.96.0.7:80\ncomplete\n");
    expect_told(*state, "{'whole':true,'changed':[]}", ""); /* stays while it is told again */
    assert_non_null(known_service(((struct fixture *)*state)->known, STR("default"), STR("web")));
    expect_told(*state, "{'complete':true}", "remove default/web:http\ncomplete\n");
    assert_null(known_service(((struct fixture *)*state)->known, STR("default"), STR("web")));
}

static void what_goes_is_removed(void **state)
{
    expect_told(*state,
                "{'whole':true,'complete':true,'changed':[" WEB(PORTS) "," SLICE("web-1", "8080",
                                                                                 PLACE("10.1.1.1", "n1", READY)) "]}",
                "default/web:http tcp 10.96.0.7:80 -> 10.1.1.1:8080 ready here\ncomplete\n");
    expect_told(*state, "{'gone':[{'kind':'EndpointSlice','namespace':'default','name':'web-1'}]}",
                "default/web:http tcp 10.96.0.7:80\n");
    expect_told(*state, "{'changed':[" WEB(",'ports':[{'protocol':'UDP','port':53}]") "]}",
                "default/web: udp 10.96.0.7:53\nremove default/web:http\n");
    expect_told(*state,
                "{'gone':[{'kind':'Service','namespace':'default','name':'web'},"
                "{'kind':'Service','namespace':'default','name':'nobody'}]}",
                "remove default/web:\n");
}

static void a_slice_without_its_service_waits(void **state)
{
    expect_told(*state, "{'whole':true,'complete':true}", "complete\n");
    expect_told(*state, "{'changed':[" SLICE("web-1", "8080", PLACE("10.1.1.1", "n1", READY)) "]}", "");
    expect_told(*state, "{'changed':[" WEB(PORTS) "]}",
                "default/web:http tcp 10.96.0.7:80 -> 10.1.1.1:8080 ready here\n");
}

static void fields_become_numbers(void **state)
{
    expect_told(
        *state,
        "{'whole':true,'complete':true,'changed':["
        "{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','namespace':'default'},'spec':{"
        "'clusterIP':'10.96.0.7','type':'LoadBalancer','externalIPs':['203.0.113.5','x'],"
        "'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':90}},"
        "'internalTrafficPolicy':'Local','externalTrafficPolicy':'Local',"
        "'loadBalancerSourceRanges':['192.0.2.0/24','nonsense'],"
        "'ports':[{'name':'a','protocol':'TCP','port':80,'nodePort':30080},"
        "{'name':'b','protocol':'UDP','port':81}]},"
        "'status':{'loadBalancer':{'ingress':[{'ip':'203.0.113.9'},{'ip':'203.0.113.10','ipMode':'Proxy'}]}}}]}",
        "default/web:a tcp 10.96.0.7:80 node 30080 external 203.0.113.5 balancer 203.0.113.9 "
        "from 192.0.2.0/24 from 0.0.0.0/32 sticks 90s internal-local external-local\n"
        "default/web:b udp 10.96.0.7:81 external 203.0.113.5 balancer 203.0.113.9 "
        "from 192.0.2.0/24 from 0.0.0.0/32 sticks 90s internal-local external-local\n"
        "complete\n");
}

static void what_has_no_address_of_its_own_is_no_port(void **state)
{
    expect_told(*state,
                "{'whole':true,'complete':true,'changed':["
                "{'apiVersion':'v1','kind':'Service','metadata':{'name':'h','namespace':'default'},'spec':{"
                "'clusterIP':'None','type':'ClusterIP'" PORTS "}},"
                "{'apiVersion':'v1','kind':'Service','metadata':{'name':'e','namespace':'default'},'spec':{"
                "'type':'ExternalName','externalName':'example.org'" PORTS "}},"
                "{'kind':'Nonsense'},7]}",
                "complete\n");
}

/* What is written is the whole message: another one that reads it knows the same. */
static void what_is_known_is_written_whole(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf first = BUF_INIT, one = BUF_INIT, two = BUF_INIT;
    expect_told(
        f,
        "{'whole':true,'complete':true,'changed':[" SLICE("web-1", "8080", PLACE("10.1.1.1", "n1", READY)) "," WEB(
            PORTS) "," SLICE("web-2", "8081", PLACE("10.1.2.1", "n2", DRAINS)) "]}",
        "default/web:http tcp 10.96.0.7:80 -> 10.1.1.1:8080 ready here -> 10.1.2.1:8081 serving terminating\n"
        "complete\n");
    buf_append(&first, f->told.data, f->told.size);
    known_write(f->known, &one);
    struct known *other = known_new("n1", &(struct known_ops){on_put, on_remove, on_complete, on_health, f});
    buf_reset(&f->told);
    known_told(other, mp_of(one.data, one.size));
    assert_true(str_eq(buf_str(&first), buf_str(&f->told)));
    assert_true(known_is_complete(other));
    known_write(other, &two);
    assert_int_equal(one.size, two.size);
    known_free(other);
}

#define POD(ip, node, uid, conditions)                                                                                 \
    "{'addresses':['" ip "'],'nodeName':'" node "','targetRef':{'kind':'Pod','uid':'" uid                              \
    "'},'conditions':{" conditions "}}"

#define BALANCED(more)                                                                                                 \
    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','namespace':'default'},'spec':{"                     \
    "'clusterIP':'10.96.0.7','type':'LoadBalancer'" more "}}"

#define LOCAL ",'externalTrafficPolicy':'Local','healthCheckNodePort':31000"
#define PLACES_8080                                                                                                    \
    PLACE("10.1.1.1", "n1", READY)                                                                                     \
    "," PLACE("10.1.1.2", "n1", READY) "," PLACE("10.1.1.3", "n1", DRAINS) "," PLACE("10.1.2.1", "n2", READY)
#define PODS_8080 SLICE("web-1", "8080", PLACES_8080)
#define PODS_8081 SLICE("web-2", "8081", PLACE("10.1.1.2", "n1", READY))

/* A pod that listens at two ports, of which one differs from pod to pod, is in two slices and counts once. */
static void a_health_port_tells_how_many_pods_here_are_ready(void **state)
{
    expect_told(*state, "{'whole':true,'complete':true,'changed':[" BALANCED(LOCAL) "," PODS_8080 "," PODS_8081 "]}",
                "health default/web 31000 2\ncomplete\n");
    expect_told(*state, "{'changed':[" SLICE("web-1", "8080", PLACE("10.1.1.3", "n1", DRAINS)) "]}",
                "health default/web 31000 1\n");
    expect_told(*state, "{'changed':[" BALANCED("") "]}", "health default/web 0 0\n");
    expect_told(*state, "{'changed':[" BALANCED("") "]}", "");
}

static void a_pod_that_is_to_end_leaves_before_masters_say_so(void **state)
{
    struct fixture *f = *state;
    expect_told(f,
                "{'whole':true,'complete':true,'changed':[" WEB(PORTS) "," SLICE(
                    "web-1", "8080", POD("10.1.1.1", "n1", "u1", READY) "," POD("10.1.1.2", "n1", "u2", READY)) "]}",
                "default/web:http tcp 10.96.0.7:80 -> 10.1.1.1:8080 ready here -> 10.1.1.2:8080 ready here\n"
                "complete\n");
    buf_reset(&f->told);
    assert_true(known_pod_leaves(f->known, STR("u1")));
    assert_string_equal(buf_cstr(&f->told), "default/web:http tcp 10.96.0.7:80 "
                                            "-> 10.1.1.1:8080 serving terminating here -> 10.1.1.2:8080 ready here\n");
    buf_reset(&f->told);
    assert_false(known_pod_leaves(f->known, STR("u1"))); /* known already */
    assert_false(known_pod_leaves(f->known, STR("u9"))); /* of no Service */
    assert_int_equal(f->told.size, 0);

    /* What masters told before they knew of it does not bring it back, also not after it has ended. */
    static const char late[] = "{'changed':[" SLICE("web-1", "8080", POD("10.1.1.1", "n1", "u1", READY)) "]}";
    static const char left[] = "default/web:http tcp 10.96.0.7:80 -> 10.1.1.1:8080 serving terminating here\n";
    expect_told(f, late, left);
    known_pod_left(f->known, STR("u1"));
    expect_told(f, late, left);
    expect_told(f, "{'changed':[" SLICE("web-1", "8080", "") "]}", "default/web:http tcp 10.96.0.7:80\n");
    /* Now it is forgotten. */
    expect_told(f, late, "default/web:http tcp 10.96.0.7:80 -> 10.1.1.1:8080 ready here\n");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define OF_POD(ip, node, uid)                                                                                          \
    "{'addresses':['" ip "'],'nodeName':'" node "','hostname':'h','targetRef':{'uid':'" uid "'},'conditions':{" READY  \
    "}}"

/* After a power cut, while masters are away or have not been told: pods of this node are where they are now. */
static void a_pod_here_is_where_this_node_knows_it_to_be(void **state)
{
    struct fixture *f = *state;
    expect_told(f,
                "{'whole':true,'complete':true,'gone':[],'changed':[" WEB(PORTS) "," SLICE(
                    "web-1", "8080", OF_POD("10.244.1.5", "n1", "u1") "," OF_POD("10.244.2.5", "n2", "u2")) "]}",
                "default/web:http tcp 10.96.0.7:80 -> 10.244.1.5:8080 ready here -> 10.244.2.5:8080 ready\ncomplete\n");
    buf_reset(&f->told);
    known_pod_is_at(f->known, STR("u1"), 0x0af40109);
    known_pod_is_at(f->known, STR("u2"), 0x0af40109); /* is of another node */
    assert_string_equal(buf_cstr(&f->told),
                        "default/web:http tcp 10.96.0.7:80 -> 10.244.1.9:8080 ready here -> 10.244.2.5:8080 ready\n");
    assert_non_null(known_host_at(f->known, 0x0af40109));
    assert_null(known_host_at(f->known, 0x0af40105));
    /* Masters still tell of the former address: it does not count, until the pod has left. */
    expect_told(f,
                "{'complete':true,'gone':[],'changed':[" SLICE("web-1", "8080", OF_POD("10.244.1.5", "n1", "u1")) "]}",
                "default/web:http tcp 10.96.0.7:80 -> 10.244.1.9:8080 ready here\ncomplete\n");
    buf_reset(&f->told);
    known_pod_is_at(f->known, STR("u1"), 0x0af40109);
    assert_string_equal(buf_cstr(&f->told), "");
    known_pod_left(f->known, STR("u1"));
    expect_told(f,
                "{'complete':true,'gone':[],'changed':[" SLICE("web-1", "8080", OF_POD("10.244.1.5", "n1", "u1")) "]}",
                "default/web:http tcp 10.96.0.7:80 -> 10.244.1.5:8080 ready here\ncomplete\n");
}

/* coredns#3860: it can be told how old answers are. */
static void the_state_that_is_known_has_a_revision(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(known_revision(f->known), 0);
    tell_known(f->known, "{'whole':true,'changed':[" WEB(PORTS) "]}");
    assert_int_equal(known_revision(f->known), 0);
    tell_known(f->known, "{'complete':true,'revision':7}");
    assert_int_equal(known_revision(f->known), 7);
    tell_known(f->known, "{'whole':true,'revision':9}"); /* another master begins anew: what is known stays */
    assert_int_equal(known_revision(f->known), 7);
    tell_known(f->known, "{'complete':true,'revision':9}");
    assert_int_equal(known_revision(f->known), 9);
    CLEANUP_BUF struct buf kept = BUF_INIT;
    known_write(f->known, &kept);
    known_told(f->known, mp_of(kept.data, kept.size)); /* of a file, or of an older master: it is not known */
    assert_int_equal(known_revision(f->known), 0);
}

/* trafficDistribution: those of the own zone, who drain anywhere, and all as soon as that cannot be done. */
static void endpoints_of_the_own_zone_come_first(void **state)
{
    struct fixture *f = *state;
    expect_told(f,
                "{'whole':true,'complete':true,'changed':[" WEB(PORTS) "," SLICE(
                    "web-1", "80",
                    FOR("10.1.1.1", "n1", READY, "east") "," FOR("10.1.2.1", "n2", READY, "west") "," FOR(
                        "10.1.3.1", "n3", READY, "east") "," PLACE("10.1.2.2", "n2", DRAINS)) "]}",
                "default/web:http tcp 10.96.0.7:80 -> 10.1.1.1:80 ready here -> 10.1.2.1:80 ready "
                "-> 10.1.3.1:80 ready -> 10.1.2.2:80 serving terminating\ncomplete\n");
    buf_reset(&f->told);
    known_set_zone(f->known, STR("east"));
    assert_string_equal(buf_cstr(&f->told),
                        "default/web:http tcp 10.96.0.7:80 -> 10.1.1.1:80 ready here -> 10.1.3.1:80 ready "
                        "-> 10.1.2.2:80 serving terminating\n");
    buf_reset(&f->told);
    known_set_zone(f->known, STR("east"));
    assert_string_equal(buf_cstr(&f->told), "");
    known_set_zone(f->known, STR("west")); /* what is here stays, for policies that ask for it */
    assert_string_equal(buf_cstr(&f->told),
                        "default/web:http tcp 10.96.0.7:80 -> 10.1.1.1:80 ready here -> 10.1.2.1:80 ready "
                        "-> 10.1.2.2:80 serving terminating\n");
    buf_reset(&f->told);
    known_set_zone(f->known, STR("north")); /* nobody is there */
    assert_string_equal(buf_cstr(&f->told),
                        "default/web:http tcp 10.96.0.7:80 -> 10.1.1.1:80 ready here -> 10.1.2.1:80 ready "
                        "-> 10.1.3.1:80 ready -> 10.1.2.2:80 serving terminating\n");
}

static void one_without_a_zone_opens_all_zones(void **state)
{
    struct fixture *f = *state;
    known_set_zone(f->known, STR("east"));
    expect_told(f,
                "{'whole':true,'complete':true,'changed':[" WEB(PORTS) "," SLICE(
                    "web-1", "80", FOR("10.1.3.1", "n3", READY, "east") "," FOR("10.1.2.1", "n2", READY, "west")) "]}",
                "default/web:http tcp 10.96.0.7:80 -> 10.1.3.1:80 ready\ncomplete\n");
    expect_told(f, "{'changed':[" SLICE("web-2", "80", PLACE("10.1.2.9", "n2", READY)) "]}",
                "default/web:http tcp 10.96.0.7:80 -> 10.1.3.1:80 ready -> 10.1.2.1:80 ready -> 10.1.2.9:80 ready\n");
    expect_told(f, "{'changed':[" SLICE("web-2", "80", PLACE("10.1.2.9", "n2", "'ready':false,'serving':false")) "]}",
                "default/web:http tcp 10.96.0.7:80 -> 10.1.3.1:80 ready -> 10.1.2.9:80\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_port_has_the_places_of_all_its_slices),
        T(nothing_is_told_until_all_is_known),
        T(what_a_new_whole_lacks_is_gone),
        T(what_goes_is_removed),
        T(a_slice_without_its_service_waits),
        T(fields_become_numbers),
        T(what_is_known_is_written_whole),
        T(what_has_no_address_of_its_own_is_no_port),
        T(a_health_port_tells_how_many_pods_here_are_ready),
        T(a_pod_that_is_to_end_leaves_before_masters_say_so),
        T(a_pod_here_is_where_this_node_knows_it_to_be),
        T(the_state_that_is_known_has_a_revision),
        T(endpoints_of_the_own_zone_come_first),
        T(one_without_a_zone_opens_all_zones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
