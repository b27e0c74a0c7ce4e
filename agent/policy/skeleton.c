#include "agent/policy/skeleton.h"

#include "agent/service/probe.h"
#include "base/mem.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <stdio.h>

/* Numbers of types as nft(8) has them: it can list our sets with them. A concatenation has six bits for each. */
enum { TYPE_ADDRESS = 7, TYPE_PROTOCOL = 12, TYPE_PORT = 13, TYPE_MARK = 19 };
#define TYPES2(a, b)       ((a) << 6 | (b))
#define TYPES4(a, b, c, d) (TYPES2(TYPES2(TYPES2(a, b), c), d))

/* The key of `allow` and `ranges` is in registers 4 to 7. */
enum { REG_WORK = 0, REG_GROUP = 4, REG_IDENTITY = 5, REG_PROTOCOL = 6, REG_PORT = 7 };

static const struct nft_set_kind sets[POLICY_SETS_COUNT] = {
    [POLICY_SET_PODS_IN] = {"pods-in", 4, 4, false},
    [POLICY_SET_PODS_OUT] = {"pods-out", 4, 4, false},
    [POLICY_SET_SELVES] = {"selves", 8, 0, false},
    [POLICY_SET_ALLOW] = {"allow", POLICY_ALLOW_BYTES, 0, false},
    [POLICY_SET_RANGES] = {"ranges", POLICY_ALLOW_BYTES + 4, 0, true},
    [POLICY_SET_BLOCKS] = {"blocks", 12, 4, true},
    [POLICY_SET_PEERS] = {"peers", 4, 4, false},
};

#define RULE TYPES4(TYPE_MARK, TYPE_MARK, TYPE_PROTOCOL, TYPE_PORT)

static void add_sets(struct nft *n)
{
    static const uint8_t rule[] = {4, 4, 1, 2, 0}, block[] = {4, 4, 0};
    const struct nft_set list[] = {
        {"pods-in", NFT_SET_MAP, TYPE_ADDRESS, 4, TYPE_MARK, 4, NULL, 0, 1},
        {"pods-out", NFT_SET_MAP, TYPE_ADDRESS, 4, TYPE_MARK, 4, NULL, 0, 2},
        {"selves", 0, TYPES2(TYPE_ADDRESS, TYPE_ADDRESS), 8, 0, 0, NULL, 0, 3},
        {"allow", 0, RULE, POLICY_ALLOW_BYTES, 0, 0, NULL, 0, 4},
        {"ranges", NFT_SET_INTERVAL | NFT_SET_CONCAT, RULE, POLICY_ALLOW_BYTES, 0, 0, rule, 0, 5},
        {"blocks", NFT_SET_MAP | NFT_SET_INTERVAL | NFT_SET_CONCAT, TYPES2(TYPE_MARK, TYPE_ADDRESS), 8, TYPE_MARK, 4,
         block, 0, 6},
        {"peers", NFT_SET_MAP, TYPE_ADDRESS, 4, TYPE_MARK, 4, NULL, 0, 7},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
        nft_add_set(n, &list[i]);
    }
}

/* ---- Parts of rules ---- */

/* A direction: whose rules count, and who the other one is. */
struct side {
    const char *chain, *pods, *by_pod, *by_block, *by_any;
    void (*load_own)(struct nft *n, unsigned reg);
    void (*load_other)(struct nft *n, unsigned reg);
};
static const struct side out = {"out", "pods-out", "out-pod", "out-block", "out-any", nft_load_client, nft_load_server};
static const struct side in = {"in", "pods-in", "in-pod", "in-block", "in-any", nft_load_server, nft_load_client};

enum other { OTHER_POD, OTHER_BLOCK, OTHER_ANY };

static void load_identity(struct nft *n, const struct side *s, enum other other)
{
    switch (other) {
    case OTHER_POD:
        s->load_other(n, REG_WORK);
        nft_lookup(n, "peers", REG_WORK, REG_IDENTITY);
        break;
    case OTHER_BLOCK:
        nft_load_number(n, REG_WORK, 0);
        s->load_other(n, REG_WORK + 1);
        nft_lookup(n, "blocks", REG_WORK, REG_IDENTITY);
        break;
    case OTHER_ANY:
        nft_load_number(n, REG_IDENTITY, POLICY_ANYBODY);
        break;
    }
}

static void load_port(struct nft *n, bool all)
{
    if (all) {
        nft_load_number(n, REG_PROTOCOL, 0);
        nft_load_number(n, REG_PORT, 0);
    } else {
        nft_load_connection_protocol(n, REG_PROTOCOL);
        nft_load_server_port(n, REG_PORT);
    }
}

static void add_allowed(struct nft *n, const struct side *s, const char *chain, enum other other, const char *set,
                        bool all_ports)
{
    nft_rule(n, chain);
    s->load_own(n, REG_WORK);
    nft_lookup(n, s->pods, REG_WORK, REG_GROUP);
    load_identity(n, s, other);
    load_port(n, all_ports);
    nft_lookup(n, set, REG_GROUP, -1);
    nft_verdict(n, NFT_RETURN, NULL);
    nft_rule_end(n);
}

static void add_verdict(struct nft *n, const char *chain, int verdict, const char *to)
{
    nft_rule(n, chain);
    nft_verdict(n, verdict, to);
    nft_rule_end(n);
}

/* ---- Chains ---- */

static void write_by(struct nft *n, const struct side *s, const char *chain, enum other other)
{
    add_allowed(n, s, chain, other, "allow", false);
    add_allowed(n, s, chain, other, "allow", true);
    add_allowed(n, s, chain, other, "ranges", false);
    if (other == OTHER_ANY) {
        add_verdict(n, chain, NF_DROP, NULL);
    } else {
        add_verdict(n, chain, NFT_GOTO, s->by_any);
    }
}

static void write_side(struct nft *n, const struct side *s)
{
    nft_rule(n, s->chain);
    nft_load_client(n, REG_WORK);
    nft_load_server(n, REG_WORK + 1);
    nft_lookup(n, "selves", REG_WORK, -1);
    nft_verdict(n, NFT_RETURN, NULL);
    nft_rule_end(n);
    nft_rule(n, s->chain);
    load_identity(n, s, OTHER_POD);
    nft_verdict(n, NFT_GOTO, s->by_pod);
    nft_rule_end(n);
    nft_rule(n, s->chain);
    load_identity(n, s, OTHER_BLOCK);
    nft_verdict(n, NFT_GOTO, s->by_block);
    nft_rule_end(n);
    add_verdict(n, s->chain, NFT_GOTO, s->by_any);
    write_by(n, s, s->by_pod, OTHER_POD);
    write_by(n, s, s->by_block, OTHER_BLOCK);
    write_by(n, s, s->by_any, OTHER_ANY);
}

static void isolate(struct nft *n, const char *chain, void (*load)(struct nft *n, unsigned reg), const char *pods,
                    int verdict, const char *to)
{
    nft_rule(n, chain);
    load(n, REG_WORK);
    nft_lookup(n, pods, REG_WORK, REG_GROUP);
    nft_verdict(n, verdict, to);
    nft_rule_end(n);
}

static void write_forward(struct nft *n)
{
    static const uint32_t nothing;
    nft_rule(n, "forward");
    nft_load_state(n, REG_WORK);
    nft_mask(n, REG_WORK, NF_CT_STATE_INVALID_BIT | NF_CT_STATE_UNTRACKED_BIT);
    nft_compare(n, REG_WORK, false, &nothing, sizeof nothing);
    nft_verdict(n, NFT_GOTO, "strange");
    nft_rule_end(n);
    isolate(n, "forward", out.load_own, out.pods, NFT_JUMP, out.chain);
    isolate(n, "forward", in.load_own, in.pods, NFT_JUMP, in.chain);
    isolate(n, "strange", nft_load_source, out.pods, NF_DROP, NULL);
    isolate(n, "strange", nft_load_destination, in.pods, NF_DROP, NULL);
}

static void write_table(struct nft *n, const void *with)
{
    const struct side *const sides[] = {&out, &in};
    (void)with;
    nft_add_table(n);
    add_sets(n);
    nft_add_chain(n, "strange");
    for (unsigned i = 0; i < ARRAY_SIZE(sides); i++) {
        nft_add_chain(n, sides[i]->chain);
        nft_add_chain(n, sides[i]->by_pod);
        nft_add_chain(n, sides[i]->by_block);
        nft_add_chain(n, sides[i]->by_any);
    }
    nft_add_hook(n, "forward", "filter", NF_INET_FORWARD, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(sides); i++) {
        write_side(n, sides[i]);
    }
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
        {"maps", "NF_TABLES", probe_maps},
        {"maps of ranges of several fields", "NF_TABLES, Linux 5.6", probe_ranges},
    };
    static const struct probe_words words = {"reeve-policies-probe", "enforce network policies"};
    return probe_features(needed, ARRAY_SIZE(needed), &words, attempt, data, err);
}

const struct service_kernel_table policy_table = {
    POLICY_TABLE, "reeve-policies-", "network policies", sets, POLICY_SETS_COUNT, write_table, probe};
