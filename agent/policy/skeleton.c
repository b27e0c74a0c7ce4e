#include "agent/policy/skeleton.h"

#include "agent/service/probe.h"
#include "base/mem.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <stdio.h>

/* Numbers of types as nft(8) has them: it can list our sets with them. A concatenation has six bits for each. */
enum { TYPE_ADDRESS = 7, TYPE_PROTOCOL = 12, TYPE_PORT = 13, TYPE_MARK = 19, TYPE_INTEGER = 4 };
#define TYPES2(a, b)     ((a) << 6 | (b))
#define TYPES3(a, b, c)  (TYPES2(a, b) << 6 | (c))

#define PRIORITY_FORWARD (-300)
#define TOS_BITS         0x18 /* that the kernel looks at */

static const struct nft_set_kind sets[POLICY_SETS_COUNT] = {
    [POLICY_SET_PODS_IN] = {"pods-in", 4, 0, false},
    [POLICY_SET_PODS_OUT] = {"pods-out", 4, 0, false},
    [POLICY_SET_SELVES] = {"selves", 8, 0, false},
    [POLICY_SET_PORTS] = {"ports", POLICY_PORTS_BYTES, 0, false},
    [POLICY_SET_RANGES] = {"ranges", POLICY_PORTS_BYTES + 4, 0, true},
    [POLICY_SET_RULES_IN] = {"rules-in", 8, 4, false},
    [POLICY_SET_RULES_OUT] = {"rules-out", 8, 4, false},
    [POLICY_SET_BLOCKS] = {"blocks", 12, 4, true},
    [POLICY_SET_PEERS] = {"peers", 4, 4, false},
};

#define PORTS TYPES3(TYPE_MARK, TYPE_PROTOCOL, TYPE_PORT)

/* Source: the kernel's ip_tos2prio. */
static void add_priorities(struct nft *n)
{
    static const struct {
        uint8_t tos;
        uint32_t priority;
    } list[] = {{0x00, 0}, {0x08, 2}, {0x10, 6}, {0x18, 4}};
    nft_message(n, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
    nft_put_text(n, NFTA_SET_ELEM_LIST_TABLE, n->table);
    nft_put_text(n, NFTA_SET_ELEM_LIST_SET, "priorities");
    size_t elements = nft_nest(n, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
        size_t one = nft_nest(n, NFTA_LIST_ELEM);
        nft_put_value(n, NFTA_SET_ELEM_KEY, &list[i].tos, sizeof list[i].tos);
        nft_put_value(n, NFTA_SET_ELEM_DATA, &list[i].priority, sizeof list[i].priority);
        nft_nest_end(n, one);
    }
    nft_nest_end(n, elements);
    nft_message_end(n);
}

static void add_sets(struct nft *n)
{
    static const uint8_t range[] = {4, 1, 2, 0}, block[] = {4, 4, 0};
    const struct nft_set list[] = {
        {"pods-in", 0, TYPE_ADDRESS, 4, 0, 0, NULL, 0, 1},
        {"pods-out", 0, TYPE_ADDRESS, 4, 0, 0, NULL, 0, 2},
        {"selves", 0, TYPES2(TYPE_ADDRESS, TYPE_ADDRESS), 8, 0, 0, NULL, 0, 3},
        {"ports", 0, PORTS, POLICY_PORTS_BYTES, 0, 0, NULL, 0, 4},
        {"ranges", NFT_SET_INTERVAL | NFT_SET_CONCAT, PORTS, POLICY_PORTS_BYTES, 0, 0, range, 0, 5},
        {"rules-in", NFT_SET_MAP, TYPES2(TYPE_ADDRESS, TYPE_MARK), 8, TYPE_MARK, 4, NULL, 0, 6},
        {"rules-out", NFT_SET_MAP, TYPES2(TYPE_ADDRESS, TYPE_MARK), 8, TYPE_MARK, 4, NULL, 0, 7},
        {"blocks", NFT_SET_MAP | NFT_SET_INTERVAL | NFT_SET_CONCAT, TYPES2(TYPE_MARK, TYPE_ADDRESS), 8, TYPE_MARK, 4,
         block, 0, 8},
        {"peers", NFT_SET_MAP, TYPE_ADDRESS, 4, TYPE_MARK, 4, NULL, 0, 9},
        {"priorities", NFT_SET_MAP, TYPE_INTEGER, 1, TYPE_MARK, 4, NULL, 0, 10},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
        nft_add_set(n, &list[i]);
    }
    add_priorities(n);
}

/* ---- Parts of rules ---- */

/* A direction: whose rules count, and who the other one is. */
struct side {
    const char *chain, *known, *pods, *rules;
    void (*load_own)(struct nft *n, unsigned reg);
    void (*load_other)(struct nft *n, unsigned reg);
};
static const struct side out = {"out", "out-known", "pods-out", "rules-out", nft_load_client, nft_load_server};
static const struct side in = {"in", "in-known", "pods-in", "rules-in", nft_load_server, nft_load_client};

/* The key is loaded: goes on if the map has it, with the result as the note. */
static void note_result(struct nft *n, const char *map)
{
    nft_lookup(n, map, 0, 4);
    nft_set_note(n, 4);
}

static void add_verdict(struct nft *n, const char *chain, int verdict, const char *to)
{
    nft_rule(n, chain);
    nft_verdict(n, verdict, to);
    nft_rule_end(n);
}

static void end_with(struct nft *n, int verdict, const char *to)
{
    nft_verdict(n, verdict, to);
    nft_rule_end(n);
}

static void note_anybody(struct nft *n, const char *chain)
{
    nft_rule(n, chain);
    nft_load_number(n, 0, POLICY_ANYBODY);
    nft_set_note(n, 0);
    nft_rule_end(n);
}

/* ---- Chains ---- */

static void write_known(struct nft *n, const struct side *s)
{
    for (unsigned i = 0; i < 2; i++) {
        if (i == 1) {
            note_anybody(n, s->known);
        }
        nft_rule(n, s->known);
        s->load_own(n, 0);
        nft_load_note(n, 1);
        note_result(n, s->rules);
        end_with(n, NFT_GOTO, "judge");
    }
    add_verdict(n, s->known, NF_DROP, NULL);
}

static void write_side(struct nft *n, const struct side *s)
{
    nft_rule(n, s->chain);
    nft_load_client(n, 0);
    nft_load_server(n, 1);
    nft_lookup(n, "selves", 0, -1);
    end_with(n, NFT_RETURN, NULL);
    nft_rule(n, s->chain);
    s->load_other(n, 0);
    note_result(n, "peers");
    end_with(n, NFT_GOTO, s->known);
    nft_rule(n, s->chain);
    nft_load_number(n, 0, 0);
    s->load_other(n, 1);
    note_result(n, "blocks");
    end_with(n, NFT_GOTO, s->known);
    note_anybody(n, s->chain);
    add_verdict(n, s->chain, NFT_GOTO, s->known);
    write_known(n, s);
}

static void write_judge(struct nft *n)
{
    static const uint32_t all = POLICY_ALL_PORTS;
    static const char *const lists[] = {"ports", "ranges"};
    nft_rule(n, "judge");
    nft_load_note(n, 0);
    nft_compare(n, 0, true, &all, sizeof all);
    end_with(n, NFT_GOTO, "pass");
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        nft_rule(n, "judge");
        nft_load_note(n, 0);
        nft_load_connection_protocol(n, 1);
        nft_load_server_port(n, 2);
        nft_lookup(n, lists[i], 0, -1);
        end_with(n, NFT_GOTO, "pass");
    }
    add_verdict(n, "judge", NF_DROP, NULL);
    nft_rule(n, "pass");
    nft_load_tos(n, 0);
    nft_mask_byte(n, 0, TOS_BITS);
    note_result(n, "priorities");
    end_with(n, NFT_RETURN, NULL);
}

static void isolate(struct nft *n, const char *chain, void (*load)(struct nft *n, unsigned reg), const char *pods,
                    int verdict, const char *to)
{
    nft_rule(n, chain);
    load(n, 0);
    nft_lookup(n, pods, 0, -1);
    end_with(n, verdict, to);
}

static void write_forward(struct nft *n)
{
    static const uint32_t nothing;
    nft_rule(n, "forward");
    nft_load_state(n, 0);
    nft_mask(n, 0, NF_CT_STATE_INVALID_BIT | NF_CT_STATE_UNTRACKED_BIT);
    nft_compare(n, 0, false, &nothing, sizeof nothing);
    end_with(n, NFT_GOTO, "strange");
    isolate(n, "forward", out.load_own, out.pods, NFT_JUMP, out.chain);
    isolate(n, "forward", in.load_own, in.pods, NFT_JUMP, in.chain);
    isolate(n, "strange", nft_load_source, out.pods, NF_DROP, NULL);
    isolate(n, "strange", nft_load_destination, in.pods, NF_DROP, NULL);
}

static void write_table(struct nft *n, const void *with)
{
    static const char *const chains[] = {"strange", "judge", "pass", "out", "out-known", "in", "in-known"};
    (void)with;
    nft_add_table(n);
    add_sets(n);
    for (unsigned i = 0; i < ARRAY_SIZE(chains); i++) {
        nft_add_chain(n, chains[i]);
    }
    nft_add_hook(n, "forward", "filter", NF_INET_FORWARD, PRIORITY_FORWARD);
    write_side(n, &out);
    write_side(n, &in);
    write_judge(n);
    write_forward(n);
}

/* ---- What the kernel must be able to do ---- */

static void probe_connections(struct nft *n)
{
    nft_add_hook(n, "c", "filter", NF_INET_FORWARD, 0);
    nft_rule(n, "c");
    nft_load_state(n, 0);
    nft_load_client(n, 1);
    nft_load_server(n, 2);
    nft_load_connection_protocol(n, 3);
    nft_load_server_port(n, 4);
    nft_rule_end(n);
}

static void probe_maps(struct nft *n)
{
    nft_add_set(n, &(struct nft_set){"m", NFT_SET_MAP, 19, 4, 19, 4, NULL, 0, 1});
    nft_add_chain(n, "c");
    nft_rule(n, "c");
    nft_load_source(n, 0);
    nft_lookup(n, "m", 0, 1);
    nft_set_note(n, 1);
    nft_rule_end(n);
}

static void probe_ranges(struct nft *n)
{
    static const uint8_t fields[] = {4, 4, 0};
    nft_add_set(n, &(struct nft_set){"s", NFT_SET_MAP | NFT_SET_INTERVAL | NFT_SET_CONCAT, TYPES2(19, 19), 8, 19, 4,
                                     fields, 0, 1});
}

static int probe(service_probe_try *attempt, void *data, struct error *err)
{
    static const struct probe_feature needed[] = {
        {"what connections were begun with, and who answers", "NFT_CT, NF_CONNTRACK", probe_connections},
        {"maps", "NF_TABLES, NFT_META", probe_maps},
        {"maps of ranges of several fields", "NF_TABLES, Linux 5.6", probe_ranges},
    };
    static const struct probe_words words = {"reeve-policies-probe", "enforce network policies"};
    return probe_features(needed, ARRAY_SIZE(needed), &words, attempt, data, err);
}

const struct service_kernel_table policy_table = {
    POLICY_TABLE, "reeve-policies-", "network policies", sets, POLICY_SETS_COUNT, write_table, probe};
