/* Where a msgpack-RPC message ends, found piece by piece as its bytes arrive, and what is in it. Pure functions over
 * bytes that a stranger chose; no allocation. Internal to proto/ (and to the fuzzer).
 *
 * The scanner looks at each head once, whatever the pieces, and steps over strings without looking, so a message of n
 * bytes costs O(heads), not O(n * pieces). It keeps the sum of bytes that are certainly still to come (a string's
 * length, one byte for each element announced), so a message that claims more than the limit is refused at the head
 * that claims it. Accepted is what proto/model/msgpack.h accepts: an array on top, strings as keys, no ext types,
 * limited depth. */
#ifndef PROTO_RPC_CODEC_H
#define PROTO_RPC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "proto/model/msgpack.h"
#include "proto/model/value.h"

#define RPC_DEPTH_MAX (VALUE_DEPTH_MAX + 2) /* a document inside of [2, method, [params]] */
/* And with what a master puts around the params of another's call: {params} of one, or {reports: [{params}]} of many.
 * */
#define RPC_DEPTH_HANDED_MAX (RPC_DEPTH_MAX + 4)

enum rpc_scan_result {
    RPC_SCAN_MORE,      /* the message goes on beyond the bytes given */
    RPC_SCAN_DONE,      /* it ends at scan->at */
    RPC_SCAN_BAD,       /* no message */
    RPC_SCAN_TOO_LARGE, /* longer than the limit */
    RPC_SCAN_TOO_MANY,  /* more elements than elements_max: each costs many times its byte once it is read */
};
struct rpc_scan {
    size_t at;                           /* where the next head is; may lie beyond the bytes given so far */
    uint64_t owed;                       /* elements announced and not yet reached */
    uint64_t elements;                   /* announced, at all depths; keys count as well */
    uint64_t elements_max;               /* 0 = no bound; kept by rpc_scan_again */
    unsigned depth_max;                  /* at most RPC_DEPTH_HANDED_MAX; kept by rpc_scan_again */
    unsigned depth;                      /* containers open */
    uint32_t left[RPC_DEPTH_HANDED_MAX]; /* elements left in each */
    bool is_map[RPC_DEPTH_HANDED_MAX];
};
void rpc_scan_init(struct rpc_scan *s);  /* elements_max 0, depth_max RPC_DEPTH_MAX */
void rpc_scan_again(struct rpc_scan *s); /* for the next message, with the same bounds */
/* p: the message from its first byte on, n of it here so far; each call gives the same bytes and more. limit below
 * 2^31. */
enum rpc_scan_result rpc_scan(struct rpc_scan *s, const uint8_t *p, size_t n, size_t limit);

enum rpc_message_type { RPC_MESSAGE_REQUEST = 0, RPC_MESSAGE_RESPONSE = 1, RPC_MESSAGE_NOTIFY = 2 };
struct rpc_message {
    enum rpc_message_type type;
    uint32_t id;             /* request, response */
    struct str method;       /* request, notification */
    struct mp params;        /* the array */
    struct mp error, result; /* response */
};
/* Take a scanned message apart; everything is borrowed from m. false if it is none of the three. */
bool rpc_message_parse(struct mp m, struct rpc_message *out);
/* params as they must be: an array of exactly one map. */
bool rpc_message_params(struct mp params, struct mp *map);
/* [id, side, item] of the stream notifications. */
bool rpc_stream_params(struct mp params, uint32_t *id, unsigned *side, struct mp *item);

#endif
