/* The cluster's configuration and ranges of addresses. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/proto_kind_fixture.h"

#include "proto/facts/cluster.h"

static void ranges_are_read_and_written_in_one_form(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } rows[] = {{"10.244.0.0/16", true},  {"0.0.0.0/0", true},
                {"10.0.0.1/32", true},    {"255.255.255.252/30", true},
                {"10.244.0.1/16", false}, {"10.244.0.0", false},
                {"10.244.0/16", false},   {"10.244.0.0/33", false},
                {"010.0.0.0/8", false},   {"256.0.0.0/8", false},
                {"10.0.0.0/8 ", false},   {"10.0.0.0/08", false},
                {"fd00::/48", false},     {"", false},
                {"10.0.0.0000/8", false}, {"10..0.0/8", false}};
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct cidr c;
        char text[CIDR_TEXT_SIZE];
        assert_int_equal(cidr_parse(str_of(rows[i].text), &c), rows[i].good);
        if (rows[i].good) {
            cidr_text(c, text);
            assert_string_equal(text, rows[i].text);
        }
    }
}

static void an_address_is_four_numbers_and_nothing_else(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           "10.0.0",    "10.0.0.0.0", "10.0.0.1/32", "010.0.0.1",
                                      "10.0.0.256", " 10.0.0.1", "10.0.0.1 ",  "10..0.1",     "::1"};
    uint32_t n;
    struct cidr c;
    assert_true(cidr_parse_address(STR("10.1.2.3"), &n));
    assert_int_equal(n, 0x0a010203);
    assert_true(cidr_parse_address(STR("255.255.255.255"), &n) && n == UINT32_MAX);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(cidr_parse_address(str_of(bad[i]), &n));
    }
    assert_true(cidr_parse(STR("10.0.0.0/24"), &c));
    assert_true(cidr_contains(c, 0x0a000000) && cidr_contains(c, 0x0a0000ff));
    assert_false(cidr_contains(c, 0x0a000100) || cidr_contains(c, 0x09ffffff));
}

static void ranges_overlap_or_not(void **state)
{
    (void)state;
    struct cidr a, b, c, all;
    assert_true(cidr_parse(STR("10.0.0.0/24"), &a) && cidr_parse(STR("10.0.1.0/24"), &b) &&
                cidr_parse(STR("10.0.0.0/23"), &c) && cidr_parse(STR("0.0.0.0/0"), &all));
    assert_false(cidr_overlap(a, b));
    assert_true(cidr_overlap(a, c) && cidr_overlap(c, b) && cidr_overlap(all, b) && cidr_overlap(b, all));
    assert_int_equal(cidr_size(all), 1ull << 32);
}

static void without_an_object_all_is_as_by_default(void **state)
{
    (void)state;
    struct cluster_config c;
    char pods[CIDR_TEXT_SIZE];
    cluster_config_read(NULL, &c);
    cidr_text(c.pods, pods);
    assert_string_equal(pods, "10.244.0.0/16");
    assert_int_equal(c.node_mask, 24);
    assert_int_equal(c.node_port_first, 30000);
    assert_int_equal(c.node_port_last, 32767);
    assert_int_equal(c.node_grace_ms, 0);
    assert_int_equal(c.evictions.rate_milli, 100);
    assert_int_equal(c.evictions.secondary_milli, 10);
    assert_int_equal(c.evictions.threshold_milli, 550);
    assert_int_equal(c.evictions.large_zone, 50);
    assert_true(str_is(c.dns_domain, "cluster.local"));
}

static void settings_are_applied_and_checked(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *set[3];
        const char *refused; /* the field; NULL: it may be so */
    } rows[] = {
        {{"podSubnet=10.0.0.0/8", "nodeCIDRMaskSize=20"}, NULL},
        {{"podSubnet=10.0.0.0/8"}, "serviceSubnet"}, /* the default lies inside */
        {{"podSubnet=10.0.0.0/20", "nodeCIDRMaskSize=16"}, "nodeCIDRMaskSize"},
        {{"podSubnet=10.0.0.7/20"}, "podSubnet"},
        {{"serviceSubnet=10.244.128.0/20"}, "serviceSubnet"},
        {{"serviceNodePortRange=5-4"}, "serviceNodePortRange"},
        {{"serviceNodePortRange=80"}, "serviceNodePortRange"},
        {{"loadBalancerPool=192.0.2.9-192.0.2.1"}, "loadBalancerPool"},
        {{"podRouting=vxlan", "vxlanID=77", "vxlanPort=8472"}, NULL},
        {{"podRouting=ipip"}, "podRouting"},
        {{"vxlanID=16777216"}, "vxlanID"},
        {{"vxlanPort=0"}, "vxlanPort"},
        {{"dnsDomain=my.zone"}, NULL},
        {{"dnsDomain=-"}, "dnsDomain"},
        {{"nodeMonitorGracePeriodSeconds=90"}, NULL},
        {{"nodeEvictionRate=0.5", "secondaryNodeEvictionRate=0", "unhealthyZoneThreshold=0.6"}, NULL},
        {{"nodeEvictionRate="}, NULL},
        {{"nodeEvictionRate=1e3"}, "nodeEviction.rate"},
        {{"secondaryNodeEvictionRate=-0.1"}, "nodeEviction.secondaryRate"},
        {{"unhealthyZoneThreshold=55%"}, "nodeEviction.unhealthyZoneThreshold"},
        {{"largeClusterSizeThreshold=-5"}, "nodeEviction.largeClusterSizeThreshold"},
        {{"nodeMonitorGracePeriodSeconds=0"}, "nodeMonitorGracePeriodSeconds"},
        {{"nodeMonitorGracePeriodSeconds=90", "nodeMonitorGracePeriodSeconds="}, NULL},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct value *doc = cluster_config_new(&f->arena, "c");
        for (unsigned k = 0; k < ARRAY_SIZE(rows[i].set) && rows[i].set[k] != NULL; k++) {
            assert_int_equal(cluster_setting_apply(&f->arena, doc, rows[i].set[k], &f->err), 0);
        }
        if (i == 0) { /* 10.96.0.0/12 must move out of the way */
            assert_int_equal(cluster_setting_apply(&f->arena, doc, "serviceSubnet=172.20.0.0/16", &f->err), 0);
        }
        f->err = (struct error){0};
        int rc = kind_check(kind_by_id(KIND_CLUSTERCONFIGURATION), &f->arena, doc, NULL, 0, &f->err);
        if ((rc == 0) != (rows[i].refused == NULL) ||
            (rows[i].refused != NULL && strstr(f->err.message, rows[i].refused) == NULL)) {
            fail_msg("%s: %d %s", rows[i].set[0], rc, f->err.message);
        }
    }
    struct value *doc = cluster_config_new(&f->arena, "c");
    assert_int_equal(cluster_setting_apply(&f->arena, doc, "podSubnets=1", &f->err), ERR_USAGE);
    assert_int_equal(cluster_setting_apply(&f->arena, doc, "podSubnet", &f->err), ERR_USAGE);
    assert_int_equal(cluster_setting_apply(&f->arena, doc, "nodeCIDRMaskSize=x", &f->err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_read_and_written_in_one_form),
        cmocka_unit_test(an_address_is_four_numbers_and_nothing_else),
        cmocka_unit_test(ranges_overlap_or_not),
        cmocka_unit_test(without_an_object_all_is_as_by_default),
        cmocka_unit_test_setup_teardown(settings_are_applied_and_checked, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
