#include "agent/service/skeleton.h"

#include "agent/service/probe.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <stdio.h>

/* Numbers of types as nft(8) has them: it can list our sets with them. A concatenation has six bits for each. */
enum { TYPE_VERDICT = 1, TYPE_ADDRESS = 7, TYPE_PROTOCOL = 12, TYPE_PORT = 13, TYPE_MARK = 19 };
#define TYPES2(a, b)       ((a) << 6 | (b))
#define TYPES3(a, b, c)    (TYPES2(a, b) << 6 | (c))
#define TYPES4(a, b, c, d) (TYPES3(a, b, c) << 6 | (d))

#define PRIORITY_LEAD      (-100)
#define PRIORITY_AFTER     (-90)
#define PRIORITY_POST      99

enum side { SIDE_IN, SIDE_OUT, SIDES };
static const char *const side_names[SIDES] = {"in", "out"};

/* A front, or what is keyed by one and something behind it, is in registers 0 to 3. */
#define REG_BEHIND 3
#define REG_DATA   4

static const unsigned affinity_s[] = SERVICE_AFFINITY_STEPS;

struct name {
    char text[32];
};
static const char *side_name(struct name *n, const char *what, enum side side)
{
    snprintf(n->text, sizeof n->text, "%s-%s", what, side_names[side]);
    return n->text;
}

static const char *number_name(struct name *n, const char *what, unsigned number)
{
    snprintf(n->text, sizeof n->text, "%s-%u", what, number);
    return n->text;
}

/* ---- Sets ---- */

#define FRONT TYPES3(TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT)

static void add_sets(struct nft *n)
{
    static const uint8_t range[] = {4, 1, 2, 4, 0};
    static const struct nft_set sets[] = {
        {"ports", NFT_SET_MAP, FRONT, 12, TYPE_MARK, 4, NULL, 0, 1},
        {"outside", NFT_SET_MAP, FRONT, 12, TYPE_MARK, 4, NULL, 0, 2},
        {"endpoints", NFT_SET_MAP, TYPES2(FRONT, TYPE_MARK), 16, TYPES2(TYPE_ADDRESS, TYPE_PORT), 8, NULL, 0, 3},
        {"members", NFT_SET_MAP, TYPES2(TYPE_ADDRESS, TYPE_PORT), 8, TYPE_MARK, 4, NULL, 0, 4},
        {"sources", NFT_SET_INTERVAL | NFT_SET_CONCAT, TYPES2(FRONT, TYPE_ADDRESS), SKELETON_RANGE_KEY, 0, 0, range, 0,
         5},
        {"hairpin", 0, TYPES2(TYPE_ADDRESS, TYPE_ADDRESS), 8, 0, 0, NULL, 0, 6},
        {"addresses", 0, TYPE_ADDRESS, 4, 0, 0, NULL, 0, 7},
        {"clients", NFT_SET_MAP | NFT_SET_TIMEOUT | NFT_SET_EVAL,
         TYPES4(TYPE_ADDRESS, TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT), 16, TYPE_MARK, 4, NULL, SKELETON_CLIENTS_MAX, 8},
    };
    static const char *const dispatch[] = {"by-places", "by-step", "by-reason"};
    for (unsigned i = 0; i < ARRAY_SIZE(sets); i++) {
        nft_add_set(n, &sets[i]);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(dispatch); i++) {
        nft_add_set(n, &(struct nft_set){.name = dispatch[i],
                                         .flags = NFT_SET_MAP,
                                         .key_type = TYPE_MARK,
                                         .key_bytes = 4,
                                         .data_type = NFT_DATA_VERDICT,
                                         .id = 10 + i});
    }
}

/* A part of info -> the chain. */
static void add_way(struct nft *n, const char *map, uint32_t info, int verdict, const char *chain)
{
    nft_message(n, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
    nft_put_text(n, NFTA_SET_ELEM_LIST_TABLE, n->table);
    nft_put_text(n, NFTA_SET_ELEM_LIST_SET, map);
    size_t list = nft_nest(n, NFTA_SET_ELEM_LIST_ELEMENTS), one = nft_nest(n, NFTA_LIST_ELEM);
    nft_put_value(n, NFTA_SET_ELEM_KEY, &info, sizeof info);
    nft_put_verdict(n, NFTA_SET_ELEM_DATA, verdict, chain);
    nft_nest_end(n, one);
    nft_nest_end(n, list);
    nft_message_end(n);
}

/* ---- Parts of rules ---- */

static void load_front(struct nft *n, unsigned reg)
{
    nft_load_destination(n, reg);
    nft_load_protocol(n, reg + 1);
    nft_load_port(n, reg + 2);
}

/* Where the connection was to go at first. */
static void load_first_front(struct nft *n, unsigned reg)
{
    nft_load_first_destination(n, reg);
    nft_load_protocol(n, reg + 1);
    nft_load_first_port(n, reg + 2);
}

/* The front is loaded: goes on if the map has it, with its info as the note. */
static void note_info(struct nft *n, const char *map)
{
    nft_lookup(n, map, 0, REG_DATA);
    nft_set_note(n, REG_DATA);
}

static void clear_note(struct nft *n)
{
    nft_load_number(n, 0, 0);
    nft_set_note(n, 0);
}

static void require_bits(struct nft *n, uint32_t bits, bool some)
{
    static const uint32_t nothing;
    nft_mask(n, 0, bits);
    nft_compare(n, 0, !some, &nothing, sizeof nothing);
}

static void require_noted(struct nft *n, uint32_t bits)
{
    nft_load_note(n, 0);
    require_bits(n, bits, true);
}

static void add_verdict(struct nft *n, const char *chain, int verdict, const char *to)
{
    nft_rule(n, chain);
    nft_verdict(n, verdict, to);
    nft_rule_end(n);
}

static void require_range(struct nft *n, struct cidr range)
{
    uint32_t first = htonl(range.first);
    nft_mask(n, 0, range.bits == 0 ? 0 : htonl(UINT32_MAX << (32 - range.bits)));
    nft_compare(n, 0, true, &first, sizeof first);
}

/* Sources in the pods' ranges go to one chain, what is left to the other. */
static void split(struct nft *n, const char *chain, const char *in, const char *out, const struct skeleton_ranges *r)
{
    for (unsigned i = 0; i < r->pods_count; i++) {
        nft_rule(n, chain);
        nft_load_source(n, 0);
        require_range(n, r->pods[i]);
        nft_verdict(n, NFT_GOTO, in);
        nft_rule_end(n);
    }
    add_verdict(n, chain, NFT_GOTO, out);
}

/* For who is outside another info counts, if the front has one. */
static void note_outside(struct nft *n, const char *chain, enum side side)
{
    if (side == SIDE_OUT) {
        nft_rule(n, chain);
        load_front(n, 0);
        note_info(n, "outside");
        nft_rule_end(n);
    }
}

/* ---- Chains ---- */

static void write_lead(struct nft *n, enum side side)
{
    struct name chain, to;
    nft_rule(n, side_name(&chain, "lead", side));
    load_front(n, 0);
    note_info(n, "ports");
    nft_verdict(n, NFT_GOTO, side_name(&to, "known", side));
    nft_rule_end(n);

    side_name(&chain, "known", side);
    note_outside(n, chain.text, side);
    nft_rule(n, chain.text);
    require_noted(n, SERVICE_LIMIT);
    load_front(n, 0);
    nft_load_source(n, REG_BEHIND);
    nft_lookup_not(n, "sources", 0);
    nft_verdict(n, NF_DROP, NULL);
    nft_rule_end(n);
    nft_rule(n, chain.text);
    require_noted(n, SERVICE_STEP);
    nft_verdict(n, NFT_GOTO, side_name(&to, "stick", side));
    nft_rule_end(n);
    add_verdict(n, chain.text, NFT_GOTO, "places");
}

static void write_stick(struct nft *n, enum side side)
{
    struct name chain, to;
    nft_rule(n, side_name(&chain, "stick", side));
    nft_load_source(n, 0);
    load_front(n, 1);
    note_info(n, "clients");
    nft_verdict(n, NFT_GOTO, side_name(&to, "stuck", side));
    nft_rule_end(n);
    add_verdict(n, chain.text, NFT_GOTO, "places");

    nft_rule(n, to.text);
    load_front(n, 0);
    nft_load_note(n, REG_BEHIND);
    nft_lookup(n, "endpoints", 0, REG_DATA);
    nft_translate(n, REG_DATA, REG_DATA + 1);
    nft_rule_end(n);
    nft_rule(n, to.text);
    nft_load_source(n, 0);
    load_front(n, 1);
    nft_load_note(n, REG_DATA);
    nft_forget(n, "clients", 0, REG_DATA);
    nft_rule_end(n);
    nft_rule(n, to.text);
    load_front(n, 0);
    note_info(n, "ports");
    nft_rule_end(n);
    note_outside(n, to.text, side);
    add_verdict(n, to.text, NFT_GOTO, "places");
}

/* The place is the note. Not in the chains that draw: the kernel goes through all rules that look a map up for each
 * element that is added to it. */
static void write_drawn(struct nft *n)
{
    nft_rule(n, "drawn");
    load_front(n, 0);
    nft_load_note(n, REG_BEHIND);
    nft_lookup(n, "endpoints", 0, REG_DATA);
    nft_translate(n, REG_DATA, REG_DATA + 1);
    nft_rule_end(n);
}

static void write_draw(struct nft *n, unsigned places)
{
    for (unsigned local = 0; local < 2; local++) {
        struct name chain;
        nft_add_chain(n, number_name(&chain, local ? "draw-local" : "draw", places));
        nft_rule(n, chain.text);
        nft_draw(n, 0, places, local ? SERVICE_LOCAL_PLACE : 0);
        nft_set_note(n, 0);
        nft_verdict(n, NFT_GOTO, "drawn");
        nft_rule_end(n);
        add_way(n, "by-places", places | (local ? SERVICE_LOCAL : 0), NFT_GOTO, chain.text);
    }
}

static void write_places(struct nft *n)
{
    static const unsigned large[] = SERVICE_PLACES_LARGE;
    nft_rule(n, "places");
    nft_load_note(n, 0);
    nft_mask(n, 0, SERVICE_PLACES | SERVICE_LOCAL);
    nft_lookup_verdict(n, "by-places", 0);
    nft_rule_end(n);
    write_drawn(n);
    for (unsigned k = 1; k <= SERVICE_PLACES_EXACT; k++) {
        write_draw(n, k);
    }
    for (unsigned k = 0; k < ARRAY_SIZE(large); k++) {
        write_draw(n, large[k]);
    }
}

/* After translation: the packet's destination is the endpoint. */
static void write_remember(struct nft *n)
{
    nft_rule(n, "remember");
    load_first_front(n, 0);
    note_info(n, "ports");
    nft_verdict(n, NFT_GOTO, "remembered");
    nft_rule_end(n);
    nft_rule(n, "remembered");
    nft_load_note(n, 0);
    nft_mask(n, 0, SERVICE_STEP);
    nft_lookup_verdict(n, "by-step", 0);
    nft_rule_end(n);
    nft_rule(n, "remembered");
    clear_note(n);
    nft_rule_end(n);
    for (unsigned i = 0; i < ARRAY_SIZE(affinity_s); i++) {
        struct name chain;
        nft_add_chain(n, number_name(&chain, "remember", i + 1));
        nft_rule(n, chain.text);
        nft_load_destination(n, 0);
        nft_load_port(n, 1);
        note_info(n, "members");
        nft_rule_end(n);
        nft_rule(n, chain.text);
        require_noted(n, SERVICE_MEMBER);
        nft_load_source(n, 0);
        load_first_front(n, 1);
        nft_load_note(n, REG_DATA);
        nft_update(n, "clients", 0, REG_DATA, affinity_s[i] * 1000ull);
        nft_rule_end(n);
        nft_rule(n, chain.text);
        clear_note(n);
        nft_rule_end(n);
        add_way(n, "by-step", (i + 1) << SERVICE_STEP_SHIFT, NFT_GOTO, chain.text);
    }
}

static void write_refuse(struct nft *n)
{
    nft_rule(n, "refuse");
    nft_load_protocol(n, 0);
    nft_compare(n, 0, true, &(uint8_t){IPPROTO_TCP}, 1);
    nft_reject(n, true);
    nft_rule_end(n);
    nft_rule(n, "refuse");
    nft_reject(n, false);
    nft_rule_end(n);
    add_way(n, "by-reason", SERVICE_REFUSE, NFT_GOTO, "refuse");
    add_way(n, "by-reason", SERVICE_DROP, NF_DROP, NULL);
}

/* What goes to the range of services is nobody's but the dataplane's. */
static void drop_services(struct nft *n, const char *chain, const struct skeleton_ranges *r)
{
    for (unsigned i = 0; i < r->services_count; i++) {
        nft_rule(n, chain);
        nft_load_destination(n, 0);
        require_range(n, r->services[i]);
        nft_verdict(n, NF_DROP, NULL);
        nft_rule_end(n);
    }
}

static void write_no_place(struct nft *n, enum side side, const struct skeleton_ranges *r)
{
    struct name chain;
    side_name(&chain, "no-place", side);
    note_outside(n, chain.text, side);
    nft_rule(n, chain.text);
    nft_load_note(n, 0);
    nft_mask(n, 0, SERVICE_REFUSE | SERVICE_DROP);
    nft_lookup_verdict(n, "by-reason", 0);
    nft_rule_end(n);
    drop_services(n, chain.text, r);
}

static void write_after(struct nft *n, enum side side, const struct skeleton_ranges *r)
{
    struct name chain, to;
    nft_rule(n, side_name(&chain, "after", side));
    nft_load_status(n, 0);
    require_bits(n, IPS_DST_NAT, true);
    nft_verdict(n, NFT_GOTO, "remember");
    nft_rule_end(n);
    nft_rule(n, chain.text);
    load_front(n, 0);
    note_info(n, "ports");
    nft_verdict(n, NFT_GOTO, side_name(&to, "no-place", side));
    nft_rule_end(n);
    nft_rule(n, chain.text);
    nft_load_destination(n, 0);
    nft_lookup(n, "addresses", 0, -1);
    nft_verdict(n, NFT_GOTO, "refuse");
    nft_rule_end(n);
    drop_services(n, chain.text, r);
}

static void write_post(struct nft *n)
{
    nft_rule(n, "post");
    nft_load_status(n, 0);
    require_bits(n, IPS_DST_NAT, false);
    nft_verdict(n, NF_ACCEPT, NULL);
    nft_rule_end(n);
    nft_rule(n, "post");
    nft_load_source(n, 0);
    nft_load_destination(n, 1);
    nft_lookup(n, "hairpin", 0, -1);
    nft_masquerade(n);
    nft_rule_end(n);
    nft_rule(n, "post");
    load_first_front(n, 0);
    note_info(n, "ports");
    nft_verdict(n, NFT_GOTO, "way");
    nft_rule_end(n);

    nft_rule(n, "way-out");
    load_first_front(n, 0);
    note_info(n, "outside");
    nft_rule_end(n);
    add_verdict(n, "way-out", NFT_GOTO, "mask");

    nft_rule(n, "mask");
    require_noted(n, SERVICE_MASK);
    clear_note(n);
    nft_masquerade(n);
    nft_rule_end(n);
    nft_rule(n, "mask");
    clear_note(n);
    nft_rule_end(n);
}

static void only_what_begins(struct nft *n, const char *chain)
{
    nft_rule(n, chain);
    nft_load_state(n, 0);
    require_bits(n, NF_CT_STATE_BIT(IP_CT_NEW), false);
    nft_verdict(n, NF_ACCEPT, NULL);
    nft_rule_end(n);
}

/* The chains that hold ranges. They are empty. */
static const char *const ranged[] = {"pre", "pre-after", "after-in", "after-out", "no-place-in", "no-place-out", "way"};
static void write_ranges(struct nft *n, const struct skeleton_ranges *r)
{
    static const uint32_t nothing;
    split(n, "pre", "lead-in", "lead-out", r);
    only_what_begins(n, "pre-after");
    split(n, "pre-after", "after-in", "after-out", r);
    write_no_place(n, SIDE_IN, r);
    write_no_place(n, SIDE_OUT, r);
    write_after(n, SIDE_IN, r);
    write_after(n, SIDE_OUT, r);
    nft_rule(n, "way"); /* from the node itself */
    nft_load_device_in(n, 0);
    nft_compare(n, 0, true, &nothing, sizeof nothing);
    nft_verdict(n, NFT_GOTO, "mask");
    nft_rule_end(n);
    split(n, "way", "mask", "way-out", r);
}

void skeleton_write_ranges(struct nft *n, const void *ranges)
{
    for (unsigned i = 0; i < ARRAY_SIZE(ranged); i++) {
        nft_flush_chain(n, ranged[i]);
    }
    write_ranges(n, ranges);
}

static void write_table(struct nft *n, const void *ranges)
{
    static const char *const chains[] = {"refuse",       "places",    "lead-in",   "lead-out",   "known-in",
                                         "known-out",    "stick-in",  "stick-out", "stuck-in",   "stuck-out",
                                         "after-in",     "after-out", "remember",  "remembered", "no-place-in",
                                         "no-place-out", "way",       "way-out",   "mask",       "drawn"};
    nft_add_table(n);
    add_sets(n);
    for (unsigned i = 0; i < ARRAY_SIZE(chains); i++) {
        nft_add_chain(n, chains[i]);
    }
    nft_add_hook(n, "pre", "nat", NF_INET_PRE_ROUTING, PRIORITY_LEAD);
    nft_add_hook(n, "out", "nat", NF_INET_LOCAL_OUT, PRIORITY_LEAD);
    nft_add_hook(n, "pre-after", "filter", NF_INET_PRE_ROUTING, PRIORITY_AFTER);
    nft_add_hook(n, "out-after", "filter", NF_INET_LOCAL_OUT, PRIORITY_AFTER);
    nft_add_hook(n, "post", "nat", NF_INET_POST_ROUTING, PRIORITY_POST);
    add_verdict(n, "out", NFT_GOTO, "lead-in");
    only_what_begins(n, "out-after");
    add_verdict(n, "out-after", NFT_GOTO, "after-in");
    write_refuse(n);
    write_places(n);
    for (enum side side = 0; side < SIDES; side++) {
        write_lead(n, side);
        write_stick(n, side);
    }
    write_remember(n);
    write_post(n);
    write_ranges(n, ranges);
}

const struct service_kernel_table skeleton_table = {SKELETON_TABLE,     "reeve-services-", "services",   service_sets,
                                                    SERVICE_SETS_COUNT, write_table,       service_probe};
