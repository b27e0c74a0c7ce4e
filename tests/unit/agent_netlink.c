/* Messages of netlink, written and read; and what is made of what the kernel tells of tables
 * (agent/network/tables.h). */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "agent/network/tables.h"
#include "base/mem.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

static void what_is_written_is_found(void **state)
{
    (void)state;
    struct netlink_request r;
    struct rtmsg head = {.rtm_family = 2, .rtm_dst_len = 24}, back;
    uint32_t number = 0;
    char text[4] = "";
    netlink_begin(&r, RTM_NEWROUTE, NLM_F_CREATE, &head, sizeof head);
    netlink_put_u8(&r, 1, 7);
    size_t outer = netlink_nest(&r, 2), inner = netlink_nest(&r, 3);
    netlink_put_text(&r, 4, "abc");
    netlink_nest_end(&r, inner);
    netlink_put_u32(&r, 5, 77);
    netlink_nest_end(&r, outer);
    netlink_put_u32(&r, 6, 88);
    assert_int_equal(r.head.nlmsg_type, RTM_NEWROUTE);
    assert_int_equal(r.head.nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE);
    memcpy(&back, NLMSG_DATA(&r.head), sizeof back);
    assert_memory_equal(&back, &head, sizeof head);
    const struct nlattr *nest = netlink_find_behind(&r.head, sizeof head, 2);
    assert_true(netlink_copy(&number, netlink_find_in(nest, 5), sizeof number) && number == 77);
    assert_true(netlink_copy(text, netlink_find_in(netlink_find_in(nest, 3), 4), 4));
    assert_string_equal(text, "abc");
    assert_true(netlink_copy(&number, netlink_find_behind(&r.head, sizeof head, 6), sizeof number) && number == 88);
    /* what is not there, or shorter than it should be */
    assert_null(netlink_find_behind(&r.head, sizeof head, 9));
    assert_null(netlink_find_in(NULL, 1));
    assert_false(netlink_copy(&number, netlink_find_behind(&r.head, sizeof head, 1), sizeof number));
    assert_int_equal(number, 88);
    r.head.nlmsg_len = NLMSG_HDRLEN + 2;
    assert_null(netlink_find_behind(&r.head, sizeof head, 1));
}

static void lengths_that_cannot_be_end_the_search(void **state)
{
    (void)state;
    struct nlattr bad[] = {{0, 1}, {3, 1}, {100, 1}};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_null(netlink_find(&bad[i], sizeof bad[i], 1));
        assert_null(netlink_find(&bad[i], 3, 1));
    }
}

static void hear(struct tables *t, unsigned type, const char *table)
{
    struct netlink_request r;
    struct nfgenmsg head = {.nfgen_family = 2};
    netlink_begin(&r, NFNL_SUBSYS_NFTABLES << 8 | type, 0, &head, sizeof head);
    if (table != NULL) {
        netlink_put_text(&r, NFTA_TABLE_NAME, table);
    }
    tables_hear(t, &r.head);
}

/* One transaction: types up to a 0, all about one table. True: it is broken then, and counts as mended afterwards. */
static bool breaks(struct tables *t, const char *table, const int *types)
{
    bool broken = false;
    for (; *types >= 0; types++) {
        hear(t, (unsigned)*types, table);
    }
    for (unsigned i = 0; i < t->count; i++) {
        assert_false(t->list[i].broken); /* not before its end */
    }
    hear(t, NFT_MSG_NEWGEN, NULL);
    for (unsigned i = 0; i < t->count; i++) {
        broken = broken || t->list[i].broken;
        t->list[i].broken = false;
    }
    return broken;
}
#define BREAKS(table, ...) breaks(&t, table, (const int[]){__VA_ARGS__, -1})

static void a_transaction_that_only_deletes_is_somebody_elses(void **state)
{
    (void)state;
    struct tables t = {.count = 0};
    tables_add(&t, "reeve-pods", false);
    tables_add(&t, "reeve-flows", true);
    /* as the agent replaces a table, as `nft flush ruleset` does, and as somebody takes a part out */
    assert_false(BREAKS("reeve-pods", NFT_MSG_DELRULE, NFT_MSG_DELCHAIN, NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE,
                        NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE));
    assert_true(BREAKS("reeve-pods", NFT_MSG_DELRULE, NFT_MSG_DELCHAIN, NFT_MSG_DELTABLE));
    assert_true(BREAKS("reeve-pods", NFT_MSG_DELRULE));
    assert_true(BREAKS("reeve-pods", NFT_MSG_DELSETELEM));
    assert_true(BREAKS("reeve-pods", NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE));
    assert_false(BREAKS("reeve-pods", NFT_MSG_NEWRULE));
    /* a table that grows has its rule replaced in place */
    assert_false(BREAKS("reeve-flows", NFT_MSG_DELRULE, NFT_MSG_NEWRULE));
    assert_true(BREAKS("reeve-flows", NFT_MSG_DELSET));
    /* others' tables, also those that begin alike */
    assert_false(BREAKS("reeve-pods-2", NFT_MSG_DELTABLE));
    assert_false(BREAKS("reeve", NFT_MSG_DELTABLE));
    /* one that is not to be there */
    tables_want(&t, "reeve-pods", false);
    assert_false(BREAKS("reeve-pods", NFT_MSG_DELTABLE));
    tables_want(&t, "reeve-pods", true);
    assert_true(BREAKS("reeve-pods", NFT_MSG_DELTABLE));
    /* what was broken is whole when the agent has written it anew before anybody has looked */
    hear(&t, NFT_MSG_DELTABLE, "reeve-pods");
    hear(&t, NFT_MSG_NEWGEN, NULL);
    hear(&t, NFT_MSG_NEWTABLE, "reeve-pods");
    hear(&t, NFT_MSG_NEWGEN, NULL);
    assert_false(t.list[0].broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_found),
        cmocka_unit_test(lengths_that_cannot_be_end_the_search),
        cmocka_unit_test(a_transaction_that_only_deletes_is_somebody_elses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
