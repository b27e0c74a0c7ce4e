/* The gate: whoever wants all places gets the share of its class, of its address or of its name, and everybody else
 * is let in. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/net/gate.h"

struct door {
    struct net_gate *gate;
    struct net_gate_config shares;
    struct net_place places[2000];
    unsigned count;
    int64_t now_ms;
};

static struct door *door_new(unsigned descriptors)
{
    struct door *d = xcalloc(1, sizeof *d);
    net_gate_share(descriptors, &d->shares);
    d->gate = net_gate_new(&d->shares);
    return d;
}

static void door_free(struct door *d)
{
    for (unsigned i = 0; i < d->count; i++) {
        net_gate_leave(&d->places[i]);
    }
    for (int i = 0; i < NET_CLASSES; i++) {
        assert_int_equal(net_gate_stats(d->gate)->open[i], 0);
    }
    net_gate_unref(d->gate);
    free(d);
}

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage ss = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&ss;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        ss.ss_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
        ss.ss_family = AF_INET6;
    }
    return ss;
}

static enum net_gate_answer knock_again(struct door *d, const char *from, bool waited)
{
    struct sockaddr_storage ss = address(from);
    assert_true(d->count < ARRAY_SIZE(d->places));
    enum net_gate_answer answer =
        net_gate_enter(d->gate, (struct sockaddr *)&ss, d->now_ms, waited, &d->places[d->count]);
    d->count += answer == NET_GATE_IN;
    return answer;
}

static enum net_gate_answer knock(struct door *d, const char *from)
{
    return knock_again(d, from, false);
}

/* From knocking to its class; ERR_LIMIT leaves again. */
static int come(struct door *d, const char *from, enum pki_role role, const char *name, struct error *err)
{
    struct pki_identity who = {.role = role};
    snprintf(who.name, sizeof who.name, "%s", name);
    assert_int_equal(knock(d, from), NET_GATE_IN);
    int rv = net_gate_admit(&d->places[d->count - 1], &who, err);
    if (rv != 0) {
        net_gate_leave(&d->places[--d->count]);
    }
    return rv;
}

static unsigned open_of(struct door *d, enum net_class class)
{
    return net_gate_stats(d->gate)->open[class];
}

static void shares_leave_descriptors_for_the_disk_and_places_for_every_class(void **state)
{
    (void)state;
    static const unsigned tried[] = {NET_GATE_DESCRIPTORS_LEAST, 256, 1000, 1024, 4096, 65536, 1u << 20, 1u << 30};
    for (size_t i = 0; i < ARRAY_SIZE(tried); i++) {
        struct net_gate_config c;
        unsigned sum = 0;
        net_gate_share(tried[i], &c);
        for (int k = 0; k < NET_CLASSES; k++) {
            assert_in_range(c.max[k], 16, NET_GATE_CONNS_MAX);
            assert_in_range(c.each[k], 4, c.max[k]);
            sum += c.max[k];
        }
        assert_int_equal(sum, c.total);
        assert_true(c.total + 64 <= tried[i]);
        assert_true(c.max[NET_CLASS_NODE] >= c.max[NET_CLASS_ADMIN]);
        assert_true(tried[i] < 16384 || c.max[NET_CLASS_NODE] >= MIN(tried[i], NET_GATE_CONNS_MAX) - 6200);
    }
}

static void strangers_of_one_address_get_few_places_and_those_of_all_others_theirs(void **state)
{
    (void)state;
    struct door *d = door_new(1024);
    struct error err = {0};
    unsigned each = d->shares.each[NET_CLASS_STRANGER], all = d->shares.max[NET_CLASS_STRANGER];
    for (unsigned i = 0; i < each; i++) {
        assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_NONE, "", &err), 0);
    }
    assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_NONE, "", &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "your address has"));
    assert_true(err.retry_after_ms > 0);
    assert_int_equal(come(d, "192.0.2.2", PKI_ROLE_NONE, "", &err), 0);
    for (unsigned i = open_of(d, NET_CLASS_STRANGER); i < all; i++) {
        char text[32];
        snprintf(text, sizeof text, "198.51.100.%u", i);
        assert_int_equal(come(d, text, PKI_ROLE_NONE, "", &err), 0);
    }
    assert_int_equal(come(d, "203.0.113.9", PKI_ROLE_NONE, "", &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "peers without a certificate are in use"));
    assert_int_equal(net_gate_stats(d->gate)->refused[NET_CLASS_STRANGER], 2);
    /* From the same address: who has a certificate is no stranger. */
    assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_ADMIN, "kate", &err), 0);
    assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_NODE, "n1", &err), 0);
    assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_MASTER, "2", &err), 0);
    door_free(d);
}

static void a_network_of_ipv6_is_64_bits_and_mapped_ipv4_is_ipv4(void **state)
{
    (void)state;
    struct door *d = door_new(1024);
    struct error err = {0};
    unsigned each = d->shares.each[NET_CLASS_STRANGER];
    for (unsigned i = 0; i < each; i++) {
        char text[64];
        snprintf(text, sizeof text, "2001:db8:1:2:%x::%x", i, i + 1);
        assert_int_equal(come(d, text, PKI_ROLE_NONE, "", &err), 0);
    }
    assert_int_equal(come(d, "2001:db8:1:2::ffff", PKI_ROLE_NONE, "", &err), ERR_LIMIT);
    assert_int_equal(come(d, "2001:db8:1:3::1", PKI_ROLE_NONE, "", &err), 0);
    for (unsigned i = 0; i < each; i++) {
        assert_int_equal(come(d, i % 2 == 0 ? "::ffff:192.0.2.1" : "192.0.2.1", PKI_ROLE_NONE, "", &err), 0);
    }
    assert_int_equal(come(d, "::ffff:192.0.2.1", PKI_ROLE_NONE, "", &err), ERR_LIMIT);
    assert_int_equal(come(d, "192.0.2.2", PKI_ROLE_NONE, "", &err), 0);
    door_free(d);
}

static void one_certificate_gets_its_share_and_one_class_its_places(void **state)
{
    (void)state;
    struct door *d = door_new(1024);
    struct error err = {0};
    for (unsigned i = 0; i < d->shares.each[NET_CLASS_NODE]; i++) {
        assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_NODE, "greedy", &err), 0);
    }
    assert_int_equal(come(d, "192.0.2.3", PKI_ROLE_NODE, "greedy", &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "certificate of node greedy"));
    /* A name is nothing without its role. */
    assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_ADMIN, "greedy", &err), 0);
    for (unsigned i = open_of(d, NET_CLASS_NODE); i < d->shares.max[NET_CLASS_NODE]; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_NODE, name, &err), 0);
    }
    assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_NODE, "one-more", &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "keeps for nodes"));
    assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_MASTER, "2", &err), 0);
    assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_ADMIN, "kate", &err), 0);
    assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_NONE, "", &err), 0);
    /* A place that was left is there again. */
    net_gate_leave(&d->places[0]);
    assert_int_equal(come(d, "192.0.2.1", PKI_ROLE_NODE, "one-more", &err), 0);
    door_free(d);
}

static void handshakes_that_stand_still_make_room_the_oldest_of_the_largest_crowd_first(void **state)
{
    (void)state;
    struct door *d = door_new(1024);
    unsigned all = d->shares.max[NET_CLASS_HANDSHAKE], each = d->shares.each[NET_CLASS_HANDSHAKE];
    assert_int_equal(knock(d, "192.0.2.9"), NET_GATE_IN);
    d->now_ms = 1;
    for (unsigned i = 1; i < all; i++) {
        assert_int_equal(knock(d, i <= each ? "192.0.2.1" : "192.0.2.2"), NET_GATE_IN);
    }
    d->now_ms =
        NET_GATE_PATIENCE_MS; /* all may still become something: others wait, those who have most are sent away */
    assert_null(net_gate_victim(d->gate, d->now_ms));
    assert_int_equal(knock(d, "192.0.2.1"), NET_GATE_FULL);
    assert_int_equal(knock_again(d, "192.0.2.3", true), NET_GATE_FULL);
    assert_int_equal(knock_again(d, "192.0.2.1", true), NET_GATE_REFUSED);
    assert_int_equal(knock(d, "192.0.2.1"), NET_GATE_REFUSED); /* for a while at once */
    assert_int_equal(knock(d, "192.0.2.3"), NET_GATE_FULL);
    assert_int_equal(net_gate_stats(d->gate)->refused[NET_CLASS_HANDSHAKE], 2);
    d->now_ms += 2;
    struct net_place *victim = net_gate_victim(d->gate, d->now_ms);
    assert_ptr_equal(victim, &d->places[1]);
    net_gate_leave(victim);
    assert_int_equal(knock(d, "192.0.2.3"), NET_GATE_IN);
    assert_int_equal(open_of(d, NET_CLASS_HANDSHAKE), all);
    door_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_leave_descriptors_for_the_disk_and_places_for_every_class),
        cmocka_unit_test(strangers_of_one_address_get_few_places_and_those_of_all_others_theirs),
        cmocka_unit_test(a_network_of_ipv6_is_64_bits_and_mapped_ipv4_is_ipv4),
        cmocka_unit_test(one_certificate_gets_its_share_and_one_class_its_places),
        cmocka_unit_test(handshakes_that_stand_still_make_room_the_oldest_of_the_largest_crowd_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
