/* DNS messages (RFC 1035, 3596, 2782, 6891), read and written with ldns. Pure.
 *
 * A question is taken if it is one question of class IN in a standard query; everything else is answered with an error
 * code, or not at all where an answer could be sent back and forth without end (a message that is an answer itself). */
#ifndef AGENT_DNS_MESSAGE_H
#define AGENT_DNS_MESSAGE_H

#include "agent/dns/zone.h"
#include "base/buf.h"

#define DNS_PORT         53
#define DNS_UDP_PLAIN    512u  /* bytes of an answer to who says no other size */
#define DNS_UDP_MAX      1232u /* and at most: what passes every network in one piece (DNS flag day 2020) */
#define DNS_TCP_MAX      65535u
#define DNS_QUESTION_MAX 512u /* bytes of a question with all its options; a longer one is malformed */
#define DNS_KEY_MAX      264u

enum dns_code {
    DNS_OK = 0,
    DNS_MALFORMED = 1,
    DNS_FAILED = 2,
    DNS_NO_NAME = 3,
    DNS_NOT_DONE = 4,
    DNS_REFUSED = 5,
    DNS_VERSION = 16
};

struct dns_question {
    uint16_t id, type, class;
    uint8_t operation;         /* of the header: resolvers take no answer that names another */
    bool recursion, unchecked; /* RD, CD */
    bool extended, dnssec;     /* it has OPT; with DO */
    size_t room;               /* bytes of the answer, for UDP */
    struct str labels[ZONE_LABELS_MAX];
    unsigned count;
    uint8_t name[256]; /* in wire form, as it was written */
    size_t name_bytes;
    uint8_t lower[256]; /* what labels point into */
};
/* False: no answer is to be given. Else *code is DNS_OK, or what the asker is told with dns_write_code; `out` holds as
 * much as could be read. */
bool dns_read_question(const uint8_t *p, size_t n, struct dns_question *out, enum dns_code *code);
void dns_copy_question(struct dns_question *to, const struct dns_question *from);
/* A question for a name in text form ("example.com"); false: it is none. The rest is as in `like`. */
bool dns_question_for(struct dns_question *out, const struct dns_question *like, struct str name);

/* Answers, appended to out. room: bytes; what does not fit is cut and marked so (TC). */
void dns_write_code(struct buf *out, const struct dns_question *q, enum dns_code code);
/* Of the zone: everything but ZONE_ELSEWHERE. */
void dns_write_zone(struct buf *out, const struct dns_question *q, const struct zone_answer *a, struct str domain,
                    uint32_t serial, size_t room);
/* What another server has answered to the same question, its records age_s seconds older. a: NULL, or records that
 * come before (an alias). False: it is no message. */
bool dns_write_relayed(struct buf *out, const struct dns_question *q, const struct zone_answer *a,
                       const uint8_t *answer, size_t n, uint32_t age_s, size_t room);

/* A question to another server, under an id of its own. */
void dns_write_question(struct buf *out, const struct dns_question *q, uint16_t id);
/* What came back: is it the answer to this question under this id? */
struct dns_seen {
    enum dns_code code;
    bool cut;       /* TC: to be asked again over TCP */
    uint32_t ttl_s; /* it may be kept so long; 0: not at all */
};
bool dns_read_answer(const uint8_t *p, size_t n, const struct dns_question *q, uint16_t id, struct dns_seen *out);

/* What distinguishes questions for a cache: name without case, type, and how it was asked. Returns the bytes. */
size_t dns_key(const struct dns_question *q, uint8_t key[DNS_KEY_MAX]);

#endif
