#include "agent/service/nft.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>

#define RANDOM_FULLY (1u << 4) /* NF_NAT_RANGE_PROTO_RANDOM_FULLY, linux/netfilter/nf_nat.h */

static size_t put_zeroes(struct nft *n, size_t size)
{
    size_t at = n->buf.size;
    memset(buf_reserve(&n->buf, size), 0, size);
    n->buf.size += size;
    return at;
}

/* ---- Messages ---- */

static void put_head(struct nft *n, unsigned type, unsigned flags, uint8_t family, uint16_t resource)
{
    n->message = put_zeroes(n, NLMSG_ALIGN(sizeof(struct nlmsghdr)) + NLMSG_ALIGN(sizeof(struct nfgenmsg)));
    struct nlmsghdr h = {
        .nlmsg_type = (uint16_t)type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags), .nlmsg_seq = ++n->sequence};
    struct nfgenmsg g = {.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};
    memcpy(n->buf.data + n->message, &h, sizeof h);
    memcpy(n->buf.data + n->message + NLMSG_ALIGN(sizeof h), &g, sizeof g);
}

void nft_message_end(struct nft *n)
{
    uint32_t size = (uint32_t)(n->buf.size - n->message);
    memcpy(n->buf.data + n->message, &size, sizeof size);
}

void nft_begin(struct nft *n, const char *table)
{
    buf_reset(&n->buf);
    n->table = table;
    n->sequence = 0;
    put_head(n, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    nft_message_end(n);
}

void nft_end(struct nft *n)
{
    put_head(n, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    nft_message_end(n);
}

void nft_close(struct nft *n)
{
    buf_close(&n->buf);
}

void nft_message(struct nft *n, unsigned type, unsigned flags)
{
    put_head(n, NFNL_SUBSYS_NFTABLES << 8 | type, flags, NFPROTO_IPV4, 0);
}

/* ---- Attributes ---- */

static void put_attribute_head(struct nft *n, unsigned attribute, size_t size)
{
    struct nlattr a = {.nla_len = (uint16_t)(NLA_HDRLEN + size), .nla_type = (uint16_t)attribute};
    assert(NLA_HDRLEN + size <= UINT16_MAX);
    buf_append(&n->buf, &a, sizeof a);
}

size_t nft_nest(struct nft *n, unsigned attribute)
{
    size_t at = n->buf.size;
    put_attribute_head(n, attribute | NLA_F_NESTED, 0);
    return at;
}

void nft_nest_end(struct nft *n, size_t nest)
{
    size_t size = n->buf.size - nest;
    uint16_t written = (uint16_t)size;
    assert(size <= UINT16_MAX);
    memcpy(n->buf.data + nest, &written, sizeof written);
}

void nft_put(struct nft *n, unsigned attribute, const void *p, size_t size)
{
    put_attribute_head(n, attribute, size);
    buf_append(&n->buf, p, size);
    put_zeroes(n, NLA_ALIGN(size) - size);
}

void nft_put_u32(struct nft *n, unsigned attribute, uint32_t value)
{
    value = htonl(value);
    nft_put(n, attribute, &value, sizeof value);
}

void nft_put_u64(struct nft *n, unsigned attribute, uint64_t value)
{
    value = htobe64(value);
    nft_put(n, attribute, &value, sizeof value);
}

void nft_put_text(struct nft *n, unsigned attribute, const char *text)
{
    nft_put(n, attribute, text, strlen(text) + 1);
}

void nft_put_value(struct nft *n, unsigned attribute, const void *p, size_t size)
{
    size_t nest = nft_nest(n, attribute);
    nft_put(n, NFTA_DATA_VALUE, p, size);
    nft_nest_end(n, nest);
}

void nft_put_verdict(struct nft *n, unsigned attribute, int verdict, const char *chain)
{
    size_t nest = nft_nest(n, attribute), inner = nft_nest(n, NFTA_DATA_VERDICT);
    nft_put_u32(n, NFTA_VERDICT_CODE, (uint32_t)verdict);
    if (chain != NULL) {
        nft_put_text(n, NFTA_VERDICT_CHAIN, chain);
    }
    nft_nest_end(n, inner);
    nft_nest_end(n, nest);
}

/* ---- Tables, chains, sets ---- */

void nft_add_table(struct nft *n)
{
    nft_message(n, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    nft_put_text(n, NFTA_TABLE_NAME, n->table);
    if (n->table_flags != 0) {
        nft_put_u32(n, NFTA_TABLE_FLAGS, n->table_flags);
    }
    nft_message_end(n);
}

void nft_delete_table(struct nft *n, const char *table)
{
    nft_message(n, NFT_MSG_DELTABLE, 0);
    nft_put_text(n, NFTA_TABLE_NAME, table);
    nft_message_end(n);
}

void nft_add_chain(struct nft *n, const char *chain)
{
    nft_message(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    nft_put_text(n, NFTA_CHAIN_TABLE, n->table);
    nft_put_text(n, NFTA_CHAIN_NAME, chain);
    nft_message_end(n);
}

void nft_add_hook(struct nft *n, const char *chain, const char *type, unsigned hook, int priority)
{
    nft_message(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    nft_put_text(n, NFTA_CHAIN_TABLE, n->table);
    nft_put_text(n, NFTA_CHAIN_NAME, chain);
    size_t nest = nft_nest(n, NFTA_CHAIN_HOOK);
    nft_put_u32(n, NFTA_HOOK_HOOKNUM, hook);
    nft_put_u32(n, NFTA_HOOK_PRIORITY, (uint32_t)priority);
    nft_nest_end(n, nest);
    nft_put_text(n, NFTA_CHAIN_TYPE, type);
    nft_message_end(n);
}

void nft_flush_chain(struct nft *n, const char *chain)
{
    nft_message(n, NFT_MSG_DELRULE, 0);
    nft_put_text(n, NFTA_RULE_TABLE, n->table);
    nft_put_text(n, NFTA_RULE_CHAIN, chain);
    nft_message_end(n);
}

static void put_description(struct nft *n, const struct nft_set *s)
{
    size_t nest = nft_nest(n, NFTA_SET_DESC);
    if (s->size > 0) {
        nft_put_u32(n, NFTA_SET_DESC_SIZE, s->size);
    }
    if (s->fields != NULL) {
        size_t concat = nft_nest(n, NFTA_SET_DESC_CONCAT);
        for (const uint8_t *f = s->fields; *f != 0; f++) {
            size_t field = nft_nest(n, NFTA_LIST_ELEM);
            nft_put_u32(n, NFTA_SET_FIELD_LEN, *f);
            nft_nest_end(n, field);
        }
        nft_nest_end(n, concat);
    }
    nft_nest_end(n, nest);
}

void nft_add_set(struct nft *n, const struct nft_set *s)
{
    nft_message(n, NFT_MSG_NEWSET, NLM_F_CREATE);
    nft_put_text(n, NFTA_SET_TABLE, n->table);
    nft_put_text(n, NFTA_SET_NAME, s->name);
    nft_put_u32(n, NFTA_SET_FLAGS, s->flags);
    nft_put_u32(n, NFTA_SET_KEY_TYPE, s->key_type);
    nft_put_u32(n, NFTA_SET_KEY_LEN, s->key_bytes);
    if (s->flags & NFT_SET_MAP) {
        nft_put_u32(n, NFTA_SET_DATA_TYPE, s->data_type);
        nft_put_u32(n, NFTA_SET_DATA_LEN, s->data_bytes);
    }
    put_description(n, s);
    nft_put_u32(n, NFTA_SET_ID, s->id);
    nft_message_end(n);
}

/* ---- Rules ---- */

void nft_rule(struct nft *n, const char *chain)
{
    nft_message(n, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    nft_put_text(n, NFTA_RULE_TABLE, n->table);
    nft_put_text(n, NFTA_RULE_CHAIN, chain);
    n->expressions = nft_nest(n, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_end(struct nft *n)
{
    nft_nest_end(n, n->expressions);
    nft_message_end(n);
}

static void begin(struct nft *n, const char *name)
{
    n->expression = nft_nest(n, NFTA_LIST_ELEM);
    nft_put_text(n, NFTA_EXPR_NAME, name);
    n->expression_data = nft_nest(n, NFTA_EXPR_DATA);
}

static void end(struct nft *n)
{
    nft_nest_end(n, n->expression_data);
    nft_nest_end(n, n->expression);
}

static void put_register(struct nft *n, unsigned attribute, unsigned reg)
{
    assert(reg < 16);
    nft_put_u32(n, attribute, NFT_REG32_00 + reg);
}

static void load_payload(struct nft *n, unsigned reg, unsigned base, unsigned offset, unsigned size)
{
    begin(n, "payload");
    put_register(n, NFTA_PAYLOAD_DREG, reg);
    nft_put_u32(n, NFTA_PAYLOAD_BASE, base);
    nft_put_u32(n, NFTA_PAYLOAD_OFFSET, offset);
    nft_put_u32(n, NFTA_PAYLOAD_LEN, size);
    end(n);
}

static void load_meta(struct nft *n, unsigned reg, unsigned key)
{
    begin(n, "meta");
    put_register(n, NFTA_META_DREG, reg);
    nft_put_u32(n, NFTA_META_KEY, key);
    end(n);
}

/* One of its directions, where the key has them. */
enum { OF_BOTH = -1, OF_FIRST = IP_CT_DIR_ORIGINAL, OF_REPLY = IP_CT_DIR_REPLY };
static void load_connection(struct nft *n, unsigned reg, unsigned key, int of)
{
    uint8_t direction = (uint8_t)of;
    begin(n, "ct");
    put_register(n, NFTA_CT_DREG, reg);
    nft_put_u32(n, NFTA_CT_KEY, key);
    if (of != OF_BOTH) {
        nft_put(n, NFTA_CT_DIRECTION, &direction, sizeof direction);
    }
    end(n);
}

void nft_load_source(struct nft *n, unsigned reg)
{
    load_payload(n, reg, NFT_PAYLOAD_NETWORK_HEADER, 12, 4);
}

void nft_load_destination(struct nft *n, unsigned reg)
{
    load_payload(n, reg, NFT_PAYLOAD_NETWORK_HEADER, 16, 4);
}

void nft_load_tos(struct nft *n, unsigned reg)
{
    load_payload(n, reg, NFT_PAYLOAD_NETWORK_HEADER, 1, 1);
}

void nft_load_protocol(struct nft *n, unsigned reg)
{
    load_meta(n, reg, NFT_META_L4PROTO);
}

void nft_load_port(struct nft *n, unsigned reg)
{
    load_payload(n, reg, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
}

void nft_load_device_in(struct nft *n, unsigned reg)
{
    load_meta(n, reg, NFT_META_IIF);
}

void nft_load_state(struct nft *n, unsigned reg)
{
    load_connection(n, reg, NFT_CT_STATE, OF_BOTH);
}

void nft_load_status(struct nft *n, unsigned reg)
{
    load_connection(n, reg, NFT_CT_STATUS, OF_BOTH);
}

void nft_load_first_destination(struct nft *n, unsigned reg)
{
    load_connection(n, reg, NFT_CT_DST_IP, OF_FIRST);
}

void nft_load_first_port(struct nft *n, unsigned reg)
{
    load_connection(n, reg, NFT_CT_PROTO_DST, OF_FIRST);
}

void nft_load_client(struct nft *n, unsigned reg)
{
    load_connection(n, reg, NFT_CT_SRC_IP, OF_FIRST);
}

void nft_load_server(struct nft *n, unsigned reg)
{
    load_connection(n, reg, NFT_CT_SRC_IP, OF_REPLY);
}

void nft_load_server_port(struct nft *n, unsigned reg)
{
    load_connection(n, reg, NFT_CT_PROTO_SRC, OF_REPLY);
}

void nft_load_connection_protocol(struct nft *n, unsigned reg)
{
    load_connection(n, reg, NFT_CT_PROTOCOL, OF_FIRST);
}

void nft_draw(struct nft *n, unsigned reg, uint32_t below, uint32_t first)
{
    begin(n, "numgen");
    put_register(n, NFTA_NG_DREG, reg);
    nft_put_u32(n, NFTA_NG_MODULUS, below);
    nft_put_u32(n, NFTA_NG_TYPE, NFT_NG_RANDOM);
    nft_put_u32(n, NFTA_NG_OFFSET, first);
    end(n);
}

void nft_load_note(struct nft *n, unsigned reg)
{
    load_meta(n, reg, NFT_META_PRIORITY);
}

void nft_set_note(struct nft *n, unsigned reg)
{
    begin(n, "meta");
    put_register(n, NFTA_META_SREG, reg);
    nft_put_u32(n, NFTA_META_KEY, NFT_META_PRIORITY);
    end(n);
}

void nft_load_number(struct nft *n, unsigned reg, uint32_t number)
{
    begin(n, "immediate");
    put_register(n, NFTA_IMMEDIATE_DREG, reg);
    nft_put_value(n, NFTA_IMMEDIATE_DATA, &number, sizeof number);
    end(n);
}

static void mask_bytes(struct nft *n, unsigned reg, const void *mask, size_t size)
{
    static const uint8_t nothing[4];
    begin(n, "bitwise");
    put_register(n, NFTA_BITWISE_SREG, reg);
    put_register(n, NFTA_BITWISE_DREG, reg);
    nft_put_u32(n, NFTA_BITWISE_LEN, (uint32_t)size);
    nft_put_value(n, NFTA_BITWISE_MASK, mask, size);
    nft_put_value(n, NFTA_BITWISE_XOR, nothing, size);
    end(n);
}

void nft_mask_byte(struct nft *n, unsigned reg, uint8_t mask)
{
    mask_bytes(n, reg, &mask, sizeof mask);
}

void nft_mask(struct nft *n, unsigned reg, uint32_t mask)
{
    mask_bytes(n, reg, &mask, sizeof mask);
}

void nft_compare(struct nft *n, unsigned reg, bool equal, const void *p, size_t size)
{
    begin(n, "cmp");
    put_register(n, NFTA_CMP_SREG, reg);
    nft_put_u32(n, NFTA_CMP_OP, equal ? NFT_CMP_EQ : NFT_CMP_NEQ);
    nft_put_value(n, NFTA_CMP_DATA, p, size);
    end(n);
}

void nft_lookup(struct nft *n, const char *set, unsigned key, int data)
{
    begin(n, "lookup");
    nft_put_text(n, NFTA_LOOKUP_SET, set);
    put_register(n, NFTA_LOOKUP_SREG, key);
    if (data >= 0) {
        put_register(n, NFTA_LOOKUP_DREG, (unsigned)data);
    }
    end(n);
}

void nft_lookup_not(struct nft *n, const char *set, unsigned key)
{
    begin(n, "lookup");
    nft_put_text(n, NFTA_LOOKUP_SET, set);
    put_register(n, NFTA_LOOKUP_SREG, key);
    nft_put_u32(n, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    end(n);
}

void nft_lookup_verdict(struct nft *n, const char *map, unsigned key)
{
    begin(n, "lookup");
    nft_put_text(n, NFTA_LOOKUP_SET, map);
    put_register(n, NFTA_LOOKUP_SREG, key);
    nft_put_u32(n, NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
    end(n);
}

static void change(struct nft *n, const char *map, unsigned op, unsigned key, unsigned data)
{
    nft_put_text(n, NFTA_DYNSET_SET_NAME, map);
    nft_put_u32(n, NFTA_DYNSET_OP, op);
    put_register(n, NFTA_DYNSET_SREG_KEY, key);
    put_register(n, NFTA_DYNSET_SREG_DATA, data);
}

void nft_update(struct nft *n, const char *map, unsigned key, unsigned data, uint64_t timeout_ms)
{
    begin(n, "dynset");
    change(n, map, NFT_DYNSET_OP_UPDATE, key, data);
    nft_put_u64(n, NFTA_DYNSET_TIMEOUT, timeout_ms);
    end(n);
}

void nft_forget(struct nft *n, const char *map, unsigned key, unsigned data)
{
    begin(n, "dynset");
    change(n, map, NFT_DYNSET_OP_DELETE, key, data);
    end(n);
}

void nft_verdict(struct nft *n, int verdict, const char *chain)
{
    begin(n, "immediate");
    nft_put_u32(n, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    nft_put_verdict(n, NFTA_IMMEDIATE_DATA, verdict, chain);
    end(n);
}

void nft_translate(struct nft *n, unsigned address, unsigned port)
{
    begin(n, "nat");
    nft_put_u32(n, NFTA_NAT_TYPE, NFT_NAT_DNAT);
    nft_put_u32(n, NFTA_NAT_FAMILY, NFPROTO_IPV4);
    put_register(n, NFTA_NAT_REG_ADDR_MIN, address);
    put_register(n, NFTA_NAT_REG_PROTO_MIN, port);
    end(n);
}

void nft_masquerade(struct nft *n)
{
    begin(n, "masq");
    nft_put_u32(n, NFTA_MASQ_FLAGS, RANDOM_FULLY);
    end(n);
}

void nft_reject(struct nft *n, bool tcp_reset)
{
    uint8_t code = ICMP_PORT_UNREACH;
    begin(n, "reject");
    nft_put_u32(n, NFTA_REJECT_TYPE, tcp_reset ? NFT_REJECT_TCP_RST : NFT_REJECT_ICMP_UNREACH);
    if (!tcp_reset) {
        nft_put(n, NFTA_REJECT_ICMP_CODE, &code, sizeof code);
    }
    end(n);
}
