/* What a service port wants of the kernel, and the order in which changes go there. */
#include "agent/service/probe.h" /* first: the kernel's headers behind those of libc */
#include "tests/unit/agent_service_kit.h"

#include <errno.h>

#include "agent/service/isolate.h"

static int setup(void **state)
{
    *state = service_table_new();
    service_table_set_addresses(*state, (uint32_t[]){ip_of("192.168.1.10")}, 1);
    return 0;
}

static int teardown(void **state)
{
    service_table_free(*state);
    return 0;
}

/* The port with these endpoints becomes known. */
static void put(struct service_table *t, struct service_port p, const char *endpoints)
{
    struct service_endpoint list[64];
    p.key = p.key != NULL ? p.key : "default/web:http";
    p.protocol = p.protocol != 0 ? p.protocol : IPPROTO_TCP;
    p.cluster_ip = p.cluster_ip != 0 ? p.cluster_ip : ip_of("10.96.0.7");
    p.port = p.port != 0 ? p.port : 80;
    p.endpoints = list;
    p.endpoints_count = endpoints_of(endpoints, list, ARRAY_SIZE(list));
    service_table_put(t, &p);
}

static void a_port_comes_after_its_endpoints_and_goes_before_them(void **state)
{
    put(*state, (struct service_port){0}, "10.1.2.1 ready,10.1.1.1 ready here");
    expect_changes(*state, "+ addresses 10.96.0.7\n"
                           "+ hairpin 10.1.1.1\n"
                           "+ endpoints 10.96.0.7 tcp 80 0: 10.1.1.1 8080\n"
                           "+ endpoints 10.96.0.7 tcp 80 1: 10.1.2.1 8080\n"
                           "+ ports 10.96.0.7 tcp 80: 2\n");
    service_table_remove(*state, "default/web:http");
    expect_changes(*state, "- ports 10.96.0.7 tcp 80\n"
                           "- endpoints 10.96.0.7 tcp 80 1\n"
                           "- endpoints 10.96.0.7 tcp 80 0\n"
                           "- hairpin 10.1.1.1\n"
                           "- addresses 10.96.0.7\n");
    assert_int_equal(service_table_elements(*state), 0);
}

static void one_endpoint_less_is_a_few_elements(void **state)
{
    put(*state, (struct service_port){0}, "10.1.2.1 ready,10.1.2.2 ready,10.1.2.3 ready");
    take_all(*state);
    put(*state, (struct service_port){0}, "10.1.2.1 ready,10.1.2.3 ready");
    expect_changes(*state, "~ endpoints 10.96.0.7 tcp 80 1: 10.1.2.3 8080\n"
                           "~ ports 10.96.0.7 tcp 80: 2\n"
                           "- endpoints 10.96.0.7 tcp 80 2\n");
    put(*state, (struct service_port){0}, "10.1.2.1 ready,10.1.2.3 ready");
    expect_changes(*state, "");
}

static void ready_ones_count_then_those_that_drain_then_the_client_is_refused(void **state)
{
    put(*state, (struct service_port){0}, "10.1.2.1 ready,10.1.2.2,10.1.2.3 serving terminating");
    expect_changes(*state, "+ addresses 10.96.0.7\n"
                           "+ endpoints 10.96.0.7 tcp 80 0: 10.1.2.1 8080\n"
                           "+ ports 10.96.0.7 tcp 80: 1\n");
    put(*state, (struct service_port){0}, "10.1.2.2,10.1.2.3 serving terminating,10.1.2.4 terminating");
    expect_changes(*state, "~ endpoints 10.96.0.7 tcp 80 0: 10.1.2.3 8080\n");
    put(*state, (struct service_port){0}, "10.1.2.2,10.1.2.4 terminating");
    expect_changes(*state, "~ ports 10.96.0.7 tcp 80: 0 refuse\n"
                           "- endpoints 10.96.0.7 tcp 80 0\n");
}

static void internal_policy_local_drops_what_only_others_have(void **state)
{
    put(*state, (struct service_port){.internal_local = true}, "10.1.1.1 ready here,10.1.2.1 ready");
    expect_changes(*state, "+ addresses 10.96.0.7\n"
                           "+ hairpin 10.1.1.1\n"
                           "+ endpoints 10.96.0.7 tcp 80 local 0: 10.1.1.1 8080\n"
                           "+ ports 10.96.0.7 tcp 80: local 1\n");
    put(*state, (struct service_port){.internal_local = true}, "10.1.1.1 here serving terminating,10.1.2.1 ready");
    expect_changes(*state, "");
    put(*state, (struct service_port){.internal_local = true}, "10.1.2.1 ready");
    expect_changes(*state, "~ ports 10.96.0.7 tcp 80: local 0 drop\n"
                           "- endpoints 10.96.0.7 tcp 80 local 0\n"
                           "- hairpin 10.1.1.1\n");
    put(*state, (struct service_port){.internal_local = true}, "");
    expect_changes(*state, "~ ports 10.96.0.7 tcp 80: local 0 refuse\n");
}

static void external_policy_local_is_for_those_outside(void **state)
{
    struct service_port p = {.node_port = 30080, .external_local = true};
    put(*state, p, "10.1.1.1 ready here,10.1.2.1 ready");
    expect_changes(*state, "+ addresses 10.96.0.7\n"
                           "+ hairpin 10.1.1.1\n"
                           "+ endpoints 192.168.1.10 tcp 30080 0: 10.1.1.1 8080\n"
                           "+ endpoints 192.168.1.10 tcp 30080 1: 10.1.2.1 8080\n"
                           "+ endpoints 192.168.1.10 tcp 30080 local 0: 10.1.1.1 8080\n"
                           "+ endpoints 10.96.0.7 tcp 80 0: 10.1.1.1 8080\n"
                           "+ endpoints 10.96.0.7 tcp 80 1: 10.1.2.1 8080\n"
                           "+ ports 192.168.1.10 tcp 30080: 2 mask\n"
                           "+ outside 192.168.1.10 tcp 30080: local 1\n"
                           "+ ports 10.96.0.7 tcp 80: 2\n");
    put(*state, p, "10.1.2.1 ready");
    expect_changes(*state, "~ endpoints 192.168.1.10 tcp 30080 0: 10.1.2.1 8080\n"
                           "~ endpoints 10.96.0.7 tcp 80 0: 10.1.2.1 8080\n"
                           "~ ports 192.168.1.10 tcp 30080: 1 mask\n"
                           "~ outside 192.168.1.10 tcp 30080: local 0 drop\n"
                           "~ ports 10.96.0.7 tcp 80: 1\n"
                           "- endpoints 10.96.0.7 tcp 80 1\n"
                           "- endpoints 192.168.1.10 tcp 30080 local 0\n"
                           "- endpoints 192.168.1.10 tcp 30080 1\n"
                           "- hairpin 10.1.1.1\n");
    put(*state, p, "");
    expect_changes(*state, "~ ports 192.168.1.10 tcp 30080: 0 refuse mask\n"
                           "~ outside 192.168.1.10 tcp 30080: local 0 refuse\n"
                           "~ ports 10.96.0.7 tcp 80: 0 refuse\n"
                           "- endpoints 10.96.0.7 tcp 80 0\n"
                           "- endpoints 192.168.1.10 tcp 30080 0\n");
}

static void from_outside_the_way_back_is_this_node(void **state)
{
    uint32_t external[] = {ip_of("203.0.113.9")}, balancers[] = {ip_of("203.0.113.10")};
    struct cidr sources[] = {range_of("198.51.100.0/24"), range_of("198.51.100.128/25"), range_of("192.0.2.1/32")};
    put(*state,
        (struct service_port){.external_ips = external,
                              .external_ips_count = 1,
                              .balancers = balancers,
                              .balancers_count = 1,
                              .sources = sources,
                              .sources_count = 3,
                              .affinity_s = 10000},
        "10.1.2.1 ready");
    expect_changes(*state, "+ addresses 10.96.0.7\n"
                           "+ members 10.1.2.1 8080\n"
                           "+ endpoints 203.0.113.9 tcp 80 0: 10.1.2.1 8080\n"
                           "+ endpoints 203.0.113.9 tcp 80 member: 10.1.2.1 8080\n"
                           "+ endpoints 203.0.113.10 tcp 80 0: 10.1.2.1 8080\n"
                           "+ endpoints 203.0.113.10 tcp 80 member: 10.1.2.1 8080\n"
                           "+ sources 203.0.113.10 tcp 80 from 198.51.100.0-198.51.100.255\n"
                           "+ sources 203.0.113.10 tcp 80 from 192.0.2.1-192.0.2.1\n"
                           "+ endpoints 10.96.0.7 tcp 80 0: 10.1.2.1 8080\n"
                           "+ endpoints 10.96.0.7 tcp 80 member: 10.1.2.1 8080\n"
                           "+ ports 203.0.113.9 tcp 80: 1 mask sticks 10800s\n"
                           "+ ports 203.0.113.10 tcp 80: 1 mask limit sticks 10800s\n"
                           "+ ports 10.96.0.7 tcp 80: 1 sticks 10800s\n");
}

static void a_node_port_follows_the_nodes_address(void **state)
{
    put(*state, (struct service_port){.node_port = 30080}, "10.1.2.1 ready");
    take_all(*state);
    service_table_set_addresses(*state, (uint32_t[]){ip_of("192.168.1.11")}, 1);
    expect_changes(*state, "+ endpoints 192.168.1.11 tcp 30080 0: 10.1.2.1 8080\n"
                           "+ ports 192.168.1.11 tcp 30080: 1 mask\n"
                           "- ports 192.168.1.10 tcp 30080\n"
                           "- endpoints 192.168.1.10 tcp 30080 0\n");
}

static void what_has_no_cluster_ip_is_not_balanced(void **state)
{
    struct service_port p = {.key = "default/headless:x", .protocol = IPPROTO_TCP, .port = 80};
    service_table_put(*state, &p);
    expect_changes(*state, "");
}

static void of_two_ports_that_want_one_address_the_smaller_key_has_it(void **state)
{
    uint32_t shared[] = {ip_of("203.0.113.9")};
    struct service_port p = {.key = "b/b:x", .external_ips = shared, .external_ips_count = 1};
    put(*state, p, "10.1.2.2 ready");
    take_all(*state);
    p.key = "a/a:x";
    p.cluster_ip = ip_of("10.96.0.8");
    put(*state, p, "");
    expect_changes(*state, "+ addresses 10.96.0.8\n"
                           "~ ports 203.0.113.9 tcp 80: 0 refuse mask\n"
                           "+ ports 10.96.0.8 tcp 80: 0 refuse\n"
                           "- endpoints 203.0.113.9 tcp 80 0\n");
    p.key = "c/c:x";
    p.cluster_ip = ip_of("10.96.0.9");
    put(*state, p, "");
    expect_changes(*state, "+ addresses 10.96.0.9\n"
                           "+ ports 10.96.0.9 tcp 80: 0 refuse\n");
    service_table_remove(*state, "a/a:x");
    expect_changes(*state, "+ endpoints 203.0.113.9 tcp 80 0: 10.1.2.2 8080\n"
                           "- ports 10.96.0.8 tcp 80\n"
                           "~ ports 203.0.113.9 tcp 80: 1 mask\n"
                           "- addresses 10.96.0.8\n");
    service_table_remove(*state, "b/b:x");
    service_table_remove(*state, "c/c:x");
    take_all(*state);
    assert_int_equal(service_table_elements(*state), 0);
}

static void two_ports_of_a_service_share_its_address(void **state)
{
    put(*state, (struct service_port){.key = "default/web:http"}, "10.1.1.1 ready here");
    put(*state, (struct service_port){.key = "default/web:https", .port = 443}, "10.1.1.1 ready here");
    take_all(*state);
    service_table_remove(*state, "default/web:http");
    expect_changes(*state, "- ports 10.96.0.7 tcp 80\n"
                           "- endpoints 10.96.0.7 tcp 80 0\n");
}

static void the_places_of_many_endpoints_are_dealt_evenly(void **state)
{
    (void)state;
    assert_int_equal(service_places(64), 64);
    assert_int_equal(service_places(65), 1024);
    assert_int_equal(service_places(129), 8192);
    assert_int_equal(service_places(SERVICE_ENDPOINTS_MAX), 32768);
}

/* ---- A kernel that forgets, and an agent that does ---- */

static void what_the_kernel_lost_is_told_again_in_order(void **state)
{
    put(*state, (struct service_port){0}, "10.1.2.1 ready");
    take_all(*state);
    service_table_remove(*state, "default/web:http");
    put(*state, (struct service_port){.key = "default/other:x", .cluster_ip = ip_of("10.96.0.8")}, "10.1.2.1 ready");
    service_table_forget(*state);
    expect_changes(*state, "+ addresses 10.96.0.8\n"
                           "+ endpoints 10.96.0.8 tcp 80 0: 10.1.2.1 8080\n"
                           "+ ports 10.96.0.8 tcp 80: 1\n");
}

static void a_restarted_agent_changes_only_what_has_changed(void **state)
{
    struct service_table *before = *state, *after = service_table_new();
    struct nft_change list[64];
    put(before, (struct service_port){0}, "10.1.2.1 ready,10.1.2.2 ready");
    put(before, (struct service_port){.key = "default/old:x", .cluster_ip = ip_of("10.96.0.8")}, "10.1.2.9 ready");
    unsigned n = service_table_next(before, list, ARRAY_SIZE(list));

    put(after, (struct service_port){0}, "10.1.2.1 ready");
    service_table_forget(after);
    for (unsigned set = 0; set < SERVICE_SETS_COUNT; set++) {
        for (unsigned i = 0; i < n; i++) {
            if (list[i].set == set) {
                service_table_found(after, list[i].set, list[i].key, list[i].data);
            }
        }
    }
    expect_changes(after, "~ ports 10.96.0.7 tcp 80: 1\n"
                          "- ports 10.96.0.8 tcp 80\n"
                          "- endpoints 10.96.0.7 tcp 80 1\n"
                          "- endpoints 10.96.0.8 tcp 80 0\n"
                          "- addresses 10.96.0.8\n");
    service_table_free(after);
}

/* The invariant of table.h, with random services whose changes are cut anywhere. */
struct kernel {
    struct element_there {
        uint8_t key[SERVICE_KEY_BYTES], data[SERVICE_DATA_BYTES];
        enum service_set set;
        bool used;
    } cells[4096];
};

static struct element_there *slot(struct kernel *k, const struct nft_change *c)
{
    struct element_there *open = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(k->cells); i++) {
        struct element_there *s = &k->cells[i];
        if (s->used && s->set == c->set && memcmp(s->key, c->key, sizeof s->key) == 0) {
            return s;
        }
        open = open == NULL && !s->used ? s : open;
    }
    assert_non_null(open);
    return open;
}

static void kernel_take(struct kernel *k, const struct nft_change *c)
{
    struct element_there *s = slot(k, c);
    assert_int_equal(s->used, !c->add || c->replaces);
    s->used = c->add;
    s->set = c->set;
    memcpy(s->key, c->key, sizeof s->key);
    memcpy(s->data, c->data, sizeof s->data);
}

static void assert_every_place_is_there(struct kernel *k)
{
    for (unsigned i = 0; i < ARRAY_SIZE(k->cells); i++) {
        struct element_there *s = &k->cells[i];
        bool port = s->set == SERVICE_SET_PORTS || s->set == SERVICE_SET_OUTSIDE;
        uint32_t info = number_of(s->data), first = (info & SERVICE_LOCAL) != 0 ? SERVICE_LOCAL_PLACE : 0;
        for (uint32_t place = 0; s->used && port && place < (info & SERVICE_PLACES); place++) {
            uint8_t key[SERVICE_KEY_BYTES] = {0};
            uint32_t number = first + place;
            memcpy(key, s->key, SERVICE_FRONT_BYTES);
            memcpy(key + SERVICE_FRONT_BYTES, &number, sizeof number);
            struct nft_change c = {.set = SERVICE_SET_ENDPOINTS, .key = key};
            assert_true(slot(k, &c)->used);
        }
    }
}

static uint64_t next_random(uint64_t *at)
{
    *at = *at * 6364136223846793005u + 1442695040888963407u;
    return *at >> 33;
}

static void no_prefix_of_the_changes_leads_to_a_place_that_is_not_there(void **state)
{
    struct service_table *t = *state;
    static struct kernel k;
    uint64_t random = 7;
    memset(&k, 0, sizeof k);
    for (unsigned round = 0; round < 3000; round++) {
        char key[32];
        struct service_endpoint list[6];
        uint32_t external[] = {ip_of("203.0.113.1") + (uint32_t)(next_random(&random) % 3)};
        unsigned which = (unsigned)(next_random(&random) % 8);
        snprintf(key, sizeof key, "default/s%u:x", which);
        struct service_port p = {.key = key,
                                 .protocol = IPPROTO_TCP,
                                 .cluster_ip = ip_of("10.96.0.10") + which,
                                 .port = 80,
                                 .node_port = next_random(&random) % 2 == 0 ? (uint16_t)(30000 + which) : 0,
                                 .external_ips = external,
                                 .external_ips_count = (unsigned)(next_random(&random) % 2),
                                 .internal_local = next_random(&random) % 3 == 0,
                                 .external_local = next_random(&random) % 3 == 0,
                                 .affinity_s = next_random(&random) % 3 == 0 ? 60 : 0,
                                 .endpoints = list,
                                 .endpoints_count = (unsigned)(next_random(&random) % 7)};
        for (unsigned i = 0; i < p.endpoints_count; i++) {
            list[i] = (struct service_endpoint){.ip = ip_of("10.1.0.1") + (uint32_t)(next_random(&random) % 12),
                                                .port = 8080,
                                                .ready = next_random(&random) % 3 > 0,
                                                .serving = true,
                                                .terminating = next_random(&random) % 3 == 0,
                                                .local = next_random(&random) % 2 == 0};
        }
        if (next_random(&random) % 5 == 0) {
            service_table_remove(t, key);
        } else {
            service_table_put(t, &p);
        }
        struct nft_change some[8], all[512];
        assert_int_equal(service_table_waiting(t), service_table_next(t, all, ARRAY_SIZE(all)));
        unsigned n = service_table_next(t, some, (unsigned)(next_random(&random) % 9));
        for (unsigned i = 0; i < n; i++) {
            kernel_take(&k, &some[i]);
            if (round % 8 == 0) {
                assert_every_place_is_there(&k);
            }
        }
        service_table_done(t, n);
    }
    struct nft_change one;
    while (service_table_next(t, &one, 1) > 0) {
        kernel_take(&k, &one);
        service_table_done(t, 1);
    }
    assert_every_place_is_there(&k);
    for (unsigned i = 0; i < 8; i++) {
        char key[32];
        snprintf(key, sizeof key, "default/s%u:x", i);
        service_table_remove(t, key);
    }
    while (service_table_next(t, &one, 1) > 0) {
        kernel_take(&k, &one);
        service_table_done(t, 1);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(k.cells); i++) {
        assert_false(k.cells[i].used);
    }
}

/* ---- Connections of UDP ---- */

static bool stale(struct service_table *t, const char *ip, uint16_t port, const char *reply, uint16_t reply_port)
{
    return service_table_flow_is_stale(t, ip_of(ip), port, ip_of(reply), reply_port);
}

static void a_flow_is_stale_when_nobody_serves_at_its_other_end(void **state)
{
    struct service_table *t = *state;
    struct service_port p = {.protocol = IPPROTO_UDP, .port = 53, .node_port = 30053};
    put(t, p, "10.1.2.1 ready,10.1.2.2 serving terminating,10.1.2.3");
    assert_true(service_table_flows_changed(t) && service_table_has_flows(t));
    assert_false(stale(t, "10.96.0.7", 53, "10.1.2.1", 8080));
    assert_false(stale(t, "10.96.0.7", 53, "10.1.2.2", 8080));
    assert_true(stale(t, "10.96.0.7", 53, "10.1.2.3", 8080));
    assert_true(stale(t, "10.96.0.7", 53, "10.1.2.1", 8081));
    assert_true(stale(t, "192.168.1.10", 30053, "192.168.1.10", 30053)); /* begun before there was the port */
    assert_false(stale(t, "192.168.1.10", 53, "10.1.2.9", 53));          /* somebody else's */
    take_all(t);
    service_table_flows_swept(t);
    assert_false(service_table_flows_changed(t));

    put(t, p, ""); /* to zero */
    assert_true(service_table_flows_changed(t));
    assert_true(stale(t, "10.96.0.7", 53, "10.1.2.1", 8080));
    assert_true(stale(t, "192.168.1.10", 30053, "10.1.2.1", 8080));
    take_all(t);
    service_table_flows_swept(t);

    service_table_remove(t, "default/web:http"); /* known until it has been looked at */
    take_all(t);
    assert_true(service_table_flows_changed(t) && service_table_has_flows(t));
    assert_true(stale(t, "192.168.1.10", 30053, "10.1.2.1", 8080));
    assert_false(stale(t, "192.168.1.10", 30053, "192.168.1.10", 30053));
    struct service_front *fronts = NULL;
    assert_int_equal(service_table_flow_fronts(t, &fronts), 2); /* begins a sweep, */
    free(fronts);
    service_table_flows_swept(t);
    assert_true(stale(t, "192.168.1.10", 30053, "10.1.2.1", 8080)); /* ends it, */
    service_table_flows_swept(t);                                   /* and the next */
    assert_false(stale(t, "192.168.1.10", 30053, "10.1.2.1", 8080));
    assert_false(service_table_has_flows(t));
}

/* A kernel that takes no port of this number, and thus no transaction with one. */
struct picky {
    struct service_table *table;
    uint16_t port;
    unsigned transactions;
    struct buf told;
};

static int picky_apply(const struct nft_change *list, unsigned count, struct error *err, void *data)
{
    struct picky *k = data;
    k->transactions++;
    for (unsigned i = 0; i < count; i++) {
        if (list[i].set == SERVICE_SET_PORTS && (list[i].key[8] << 8 | list[i].key[9]) == k->port) {
            return error_set(err, ERR_INVALID, "no");
        }
    }
    return 0;
}

static void picky_done(unsigned count, void *data)
{
    service_table_done(((struct picky *)data)->table, count);
}

static void picky_refused(const struct nft_change *c, const struct error *err, void *data)
{
    struct picky *k = data;
    char text[SERVICE_CHANGE_TEXT];
    (void)err;
    service_change_text(c, text);
    buf_printf(&k->told, "%s: ", text);
    buf_printf(&k->told, "%s\n", service_table_refuse(k->table));
}

static int picky_take(struct picky *k, struct nft_change *list, unsigned max)
{
    struct error err = {0};
    const struct isolate_ops ops = {picky_apply, picky_done, picky_refused, k};
    buf_reset(&k->told);
    return isolate_apply(&ops, list, service_table_next(k->table, list, max), &err);
}

static void what_the_kernel_refuses_keeps_no_other_out(void **state)
{
    static struct nft_change list[CHANGES_MAX];
    struct picky k = {.table = *state, .port = 666};
    for (unsigned i = 0; i < 200; i++) {
        CLEANUP_FREE char *key = xasprintf("default/s%u:http", i);
        put(*state, (struct service_port){.key = key, .cluster_ip = 0x0a600100u + i, .port = i == 77 ? 666 : 80},
            "10.1.2.1 ready,10.1.2.2 ready");
    }
    assert_int_equal(picky_take(&k, list, CHANGES_MAX), 0);
    assert_string_equal(buf_cstr(&k.told), "ports 10.96.1.77 tcp 666: default/s77:http\n");
    assert_int_equal(service_table_waiting(*state), 0);
    assert_int_equal(service_table_refused(*state), 1);
    assert_true(k.transactions <= 2 * 10 + 1); /* 800 changes are halved ten times */

    /* It is left out until it is tried again, or wanted otherwise. */
    service_table_retry(*state);
    assert_int_equal(service_table_waiting(*state), 1);
    assert_int_equal(picky_take(&k, list, CHANGES_MAX), 0);
    assert_int_equal(service_table_refused(*state), 1);
    put(*state, (struct service_port){.key = "default/s77:http", .cluster_ip = 0x0a600100u + 77, .port = 666},
        "10.1.2.1 ready");
    assert_int_equal(service_table_refused(*state), 0);
    k.port = 0;
    assert_int_equal(picky_take(&k, list, CHANGES_MAX), 0);
    assert_int_equal(service_table_waiting(*state), 0);
    assert_int_equal(k.told.size, 0);

    /* What should go and cannot counts as gone: there is nobody any more to whom it matters. */
    k.port = 666;
    service_table_remove(*state, "default/s77:http");
    assert_int_equal(picky_take(&k, list, CHANGES_MAX), 0);
    assert_int_equal(service_table_waiting(*state), 0);
    assert_int_equal(service_table_refused(*state), 0);
    buf_close(&k.told);
}

static void a_kernel_that_refuses_everything_is_not_asked_for_each(void **state)
{
    static struct nft_change list[CHANGES_MAX];
    struct picky k = {.table = *state, .port = 80};
    for (unsigned i = 0; i < 200; i++) {
        CLEANUP_FREE char *key = xasprintf("default/s%u:http", i);
        put(*state, (struct service_port){.key = key, .cluster_ip = 0x0a600100u + i}, "10.1.2.1 ready");
    }
    assert_int_equal(picky_take(&k, list, CHANGES_MAX), ERR_INVALID);
    assert_int_equal(service_table_refused(*state), ISOLATE_REFUSED_MAX);
    assert_int_equal(service_table_waiting(*state), 200 - ISOLATE_REFUSED_MAX);
    buf_close(&k.told);
}

/* ---- What a kernel lacks ---- */

struct poor_kernel { /* refuses the attempts of these numbers */
    unsigned at, lacks[3];
    int error;
};

static int attempt(const struct nft *n, void *data)
{
    struct poor_kernel *k = data;
    k->at++;
    assert_true(n->buf.size > 0);
    for (unsigned i = 0; i < ARRAY_SIZE(k->lacks); i++) {
        if (k->lacks[i] == k->at) {
            return -k->error;
        }
    }
    return 0;
}

/* One option that is missing does not fail everything without a word: it is named, and all others that are. */
static void what_the_kernel_lacks_is_named(void **state)
{
    struct poor_kernel whole = {0}, poor = {.lacks = {5, 7}, .error = EOPNOTSUPP},
                       none = {.lacks = {1}, .error = EPERM};
    struct error err = {0};
    (void)state;
    assert_int_equal(service_probe(attempt, &whole, &err), 0);
    assert_true(whole.at >= 9);
    assert_int_equal(service_probe(attempt, &poor, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "NFT_NUMGEN"));
    assert_non_null(strstr(err.message, "NF_TABLES"));
    assert_null(strstr(err.message, "NFT_MASQ"));
    assert_true(service_probe(attempt, &none, &err) != 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_port_comes_after_its_endpoints_and_goes_before_them),
        T(one_endpoint_less_is_a_few_elements),
        T(ready_ones_count_then_those_that_drain_then_the_client_is_refused),
        T(internal_policy_local_drops_what_only_others_have),
        T(external_policy_local_is_for_those_outside),
        T(from_outside_the_way_back_is_this_node),
        T(a_node_port_follows_the_nodes_address),
        T(what_has_no_cluster_ip_is_not_balanced),
        T(of_two_ports_that_want_one_address_the_smaller_key_has_it),
        T(two_ports_of_a_service_share_its_address),
        T(the_places_of_many_endpoints_are_dealt_evenly),
        T(what_the_kernel_refuses_keeps_no_other_out),
        T(a_kernel_that_refuses_everything_is_not_asked_for_each),
        T(what_the_kernel_lost_is_told_again_in_order),
        T(a_restarted_agent_changes_only_what_has_changed),
        T(no_prefix_of_the_changes_leads_to_a_place_that_is_not_there),
        cmocka_unit_test(what_the_kernel_lacks_is_named),
        T(a_flow_is_stale_when_nobody_serves_at_its_other_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
