/* nf_tables in the kernel's own words: messages, attributes, and the expressions of rules, put together in a buffer.
 *
 * Not libnftables, which parses what other programs have put into the kernel and does not survive all of it; and
 * what the rules here need (a lookup's result that is part of the next lookup's key) has no words in its language.
 * Source: linux/netfilter/nf_tables.h and nfnetlink.h. Pure: no socket here; kernel.h sends.
 *
 * A rule computes in sixteen registers of four bytes, numbered 0 to 15 here. What is longer goes on in the next. */
#ifndef AGENT_SERVICE_NFT_H
#define AGENT_SERVICE_NFT_H

#include "base/buf.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/netlink.h> /* the kernel's own stand behind those of libc, and in this order */

#include <linux/netfilter.h>

#include <linux/netfilter/nf_tables.h>

/* A transaction: the kernel does all of it or nothing. Zeroed is empty. */
struct nft {
    struct buf buf;
    const char *table;
    uint32_t table_flags; /* that nft_add_table gives it */
    uint32_t sequence;    /* of the newest message */
    size_t message;       /* where it begins */
    size_t expression;    /* where the expression that is being written begins, and its data */
    size_t expression_data;
    size_t rule, expressions;
};
void nft_begin(struct nft *n, const char *table);
void nft_end(struct nft *n);
void nft_close(struct nft *n);

/* One message to nf_tables, of family IPv4. flags: NLM_F_*. */
void nft_message(struct nft *n, unsigned type, unsigned flags);
void nft_message_end(struct nft *n);
size_t nft_nest(struct nft *n, unsigned attribute);
void nft_nest_end(struct nft *n, size_t nest);
void nft_put(struct nft *n, unsigned attribute, const void *p, size_t size);
void nft_put_u32(struct nft *n, unsigned attribute, uint32_t value); /* in the network's byte order */
void nft_put_u64(struct nft *n, unsigned attribute, uint64_t value);
void nft_put_text(struct nft *n, unsigned attribute, const char *text);
/* {VALUE: bytes} or {VERDICT: {code, chain}} below the attribute. */
void nft_put_value(struct nft *n, unsigned attribute, const void *p, size_t size);
void nft_put_verdict(struct nft *n, unsigned attribute, int verdict, const char *chain);

/* Whole messages. */
void nft_add_table(struct nft *n);
void nft_delete_table(struct nft *n, const char *table); /* it must be there */
/* A chain that others go to; with a type ("nat", "filter"), at a hook (NF_INET_*). */
void nft_add_chain(struct nft *n, const char *chain);
void nft_add_hook(struct nft *n, const char *chain, const char *type, unsigned hook, int priority);
void nft_flush_chain(struct nft *n, const char *chain);
struct nft_set {
    const char *name;
    uint32_t flags; /* NFT_SET_* */
    uint32_t key_type, key_bytes, data_type, data_bytes;
    const uint8_t *fields; /* of a key of ranges: the sizes of its parts, up to a 0 */
    uint32_t size;         /* elements at most; 0 = any number */
    uint32_t id;           /* of this set in this transaction */
};
void nft_add_set(struct nft *n, const struct nft_set *s);

/* ---- Rules ---- */

void nft_rule(struct nft *n, const char *chain);
void nft_rule_end(struct nft *n);

/* The packet: its source and destination, its port there; what the connection was begun with. */
void nft_load_source(struct nft *n, unsigned reg);
void nft_load_destination(struct nft *n, unsigned reg);
void nft_load_protocol(struct nft *n, unsigned reg);
void nft_load_tos(struct nft *n, unsigned reg); /* one byte */
void nft_load_port(struct nft *n, unsigned reg);
void nft_load_device_in(struct nft *n, unsigned reg); /* its number; 0 = the node itself has made it */
void nft_load_state(struct nft *n, unsigned reg);     /* NFT_CT_STATE_BIT... of the connection */
void nft_load_status(struct nft *n, unsigned reg);    /* IPS_* */
void nft_load_first_destination(struct nft *n, unsigned reg);
void nft_load_first_port(struct nft *n, unsigned reg);
/* Of the connection, in both of its directions: who has begun it, and who answers, after all translation there. */
void nft_load_client(struct nft *n, unsigned reg);
void nft_load_server(struct nft *n, unsigned reg);
void nft_load_server_port(struct nft *n, unsigned reg);
void nft_load_connection_protocol(struct nft *n, unsigned reg);
void nft_draw(struct nft *n, unsigned reg, uint32_t below, uint32_t first); /* a random number, from first */
/* The packet's note: 32 bits (its priority for queueing) that outlast the rule, which registers do not. What is
 * forwarded gets its priority only after prerouting. */
void nft_load_note(struct nft *n, unsigned reg);
void nft_set_note(struct nft *n, unsigned reg);
void nft_load_number(struct nft *n, unsigned reg, uint32_t number); /* in the machine's byte order */

void nft_mask_byte(struct nft *n, unsigned reg, uint8_t mask); /* of a register that has one */
void nft_mask(struct nft *n, unsigned reg, uint32_t mask);     /* in the order of the register's bytes */
/* Goes on with this rule only if the register's first bytes are, or are not, these. */
void nft_compare(struct nft *n, unsigned reg, bool equal, const void *p, size_t size);
/* Goes on only if the set has the key that begins in register key; a map's data go to register data (else -1). */
void nft_lookup(struct nft *n, const char *set, unsigned key, int data);
void nft_lookup_not(struct nft *n, const char *set, unsigned key);
void nft_lookup_verdict(struct nft *n, const char *map, unsigned key);
/* Writes key -> data into a map, or if the key is there makes it stay so much longer, with the data that it has; goes
 * on only if there was room. And takes it out; the data are only there to be there. */
void nft_update(struct nft *n, const char *map, unsigned key, unsigned data, uint64_t timeout_ms);
void nft_forget(struct nft *n, const char *map, unsigned key, unsigned data);

void nft_verdict(struct nft *n, int verdict, const char *chain); /* NF_DROP, NF_ACCEPT, NFT_GOTO, NFT_JUMP */
void nft_translate(struct nft *n, unsigned address, unsigned port);
void nft_masquerade(struct nft *n);
void nft_reject(struct nft *n, bool tcp_reset);

#endif
