/* Questions about names that are not the cluster's, put to the name servers of the node.
 *
 * Each question leaves from a port of its own that the kernel draws, under an id that is drawn, and only the answer to
 * it is taken (RFC 5452). A server that does not answer within FORWARD_TRY_MS, or fails, is passed over for the next;
 * the one that answered last is asked first. What is cut is asked again over TCP. Answers are kept (cache.h). After
 * FORWARD_FAILURES questions without any answer one is asked at a time, and others fail at once, until a server
 * answers: whoever is cut off is not kept waiting for each name. Bounded: FORWARD_ASKED_MAX questions under way,
 * FORWARD_ASKER_MAX of one asker. Loop thread only. */
#ifndef AGENT_DNS_FORWARD_H
#define AGENT_DNS_FORWARD_H

#include "agent/dns/message.h"
#include "base/env.h"
#include "base/log.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */

#include <netinet/in.h>
#include <uv.h>

#define FORWARD_SERVERS_MAX 3u   /* as resolv.conf(5) */
#define FORWARD_TRY_MS      1000 /* four of them end before resolvers give up, which they do after five seconds */
#define FORWARD_TRIES       4u
#define FORWARD_FAILURES    3u
#define FORWARD_ASKED_MAX   512u
#define FORWARD_ASKER_MAX   128u
#define FORWARD_CACHE_BYTES (2u << 20)

struct dns_forward;
struct dns_forward *dns_forward_new(uv_loop_t *loop, const struct env *env, const struct log *log);
/* Who asked hears DNS_FAILED of what is under way; cb when all is closed, perhaps before it
 * returns; then it is freed. */
void dns_forward_close(struct dns_forward *f, void (*cb)(void *data), void *data);

/* Instead of the former ones; none: every question fails at once. What is under way goes on. A question with a name
 * that is drawn is sent along: if dns_forward_is_probe recognizes it, the servers lead back to here, and none of them
 * is asked any more until others are set. */
void dns_forward_set_servers(struct dns_forward *f, const struct sockaddr_storage *servers, unsigned count);
unsigned dns_forward_servers(const struct dns_forward *f);
bool dns_forward_is_probe(struct dns_forward *f, const struct dns_question *q);

/* answer: of the server, for dns_write_relayed, its records age_s older since; empty: there was none (DNS_FAILED). */
typedef void dns_forward_cb(struct str answer, uint32_t age_s, void *data);
/* cb exactly once: before it returns, if the answer is known, or later. asker: an address, for its share. */
void dns_forward_ask(struct dns_forward *f, const struct dns_question *q, uint32_t asker, dns_forward_cb *cb,
                     void *data);

struct dns_forward_stats {
    uint64_t asked, kept, failed, refused; /* sent; answered by the cache; no answer; over the bounds */
    unsigned under_way;
    size_t cache_bytes;
};
void dns_forward_get_stats(const struct dns_forward *f, struct dns_forward_stats *out);

#endif
